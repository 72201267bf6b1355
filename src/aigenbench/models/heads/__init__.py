"""What stands on a backbone's features: transforms of them, and a head that gives logits or scores."""
