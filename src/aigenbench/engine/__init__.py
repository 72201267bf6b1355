"""The engine: the one place that makes a run out of layers of configuration or Python objects."""
