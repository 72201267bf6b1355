"""Anybody's detector: exported folders, checkpoints of transformers and timm, functions; and scoring images with it."""
