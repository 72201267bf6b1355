"""A page and an endpoint for exported detectors: the server, and the worker processes that read pictures."""
