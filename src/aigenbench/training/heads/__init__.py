"""Further heads trained along on one backbone."""
