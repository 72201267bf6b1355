"""A picture file: its format by content, its limits, and its pixels."""
