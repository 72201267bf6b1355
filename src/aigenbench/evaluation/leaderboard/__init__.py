"""Submissions: made, verified, and shown on one page."""
