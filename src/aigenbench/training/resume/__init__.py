"""What lies on disk so that a run goes on: states, checkpoints, the lock, the folder."""
