"""Many runs from one file: their plan, their processes, and one table of what they came to."""
