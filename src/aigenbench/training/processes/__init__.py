"""Several processes, signals, SLURM, and what fails in them."""
