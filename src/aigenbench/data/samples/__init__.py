"""From a row to a sample to a batch: transforms, their randomness, loaders."""
