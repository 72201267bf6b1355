"""A frozen backbone's features, computed once and trained on."""
