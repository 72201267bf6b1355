"""What a run does over time: which images a window trains on, and which weights it starts and ends with."""
