"""What perturbations of the images cost."""
