"""Train and evaluate detectors of AI-generated images, generator by generator as history released them."""

__version__ = "0.1.0"
