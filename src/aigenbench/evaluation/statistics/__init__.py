"""How sure the numbers are: intervals, resampling, comparisons, calibration."""
