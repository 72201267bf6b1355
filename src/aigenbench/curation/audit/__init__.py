"""Whether a data set is sound: damage, doubles, leaks, contradictions, and what gives fakes away without a pixel."""
