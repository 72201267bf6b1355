"""The windows of a run, one after the other; evaluation, prediction and robustness of finished ones."""
