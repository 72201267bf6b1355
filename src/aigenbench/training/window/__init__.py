"""One window: what it is given, its training's keeper, its evaluation and its weights."""
