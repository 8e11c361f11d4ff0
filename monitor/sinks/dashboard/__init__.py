"""The live terminal dashboard, and the summary after the run."""
