"""Several engines on one machine: a run whose cameras are watched in processes of their own."""
