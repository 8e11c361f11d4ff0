"""The live terminal dashboard, and what remains of it when the run is over."""
