"""Detectors outside the benchmark: exported ones, and anybody's; scoring pictures without Lightning."""
