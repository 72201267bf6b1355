"""From config layers or Python objects to what a run is given."""
