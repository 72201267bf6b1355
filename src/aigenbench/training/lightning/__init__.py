"""Lightning's Trainer, loops, loggers and callbacks, as a window needs them."""
