"""Files of weights: found, fetched, told apart, read."""
