"""The benchmark's facts: timeline, windows, selections, pairing, periods, random keys."""
