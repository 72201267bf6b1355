"""Configs: the files that are shipped, how YAML layers merge, and the original framework's names for our classes."""
