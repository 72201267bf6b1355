"""What is kept of a sample between passes: crops and squares, or features."""
