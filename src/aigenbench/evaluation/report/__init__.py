"""One page about one or several experiments, its tables and charts as files."""
