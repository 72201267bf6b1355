"""Predictions on disk: one window's file, an experiment's, those made by other code."""
