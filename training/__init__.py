"""Training, evaluation and the competition's file, all by exactly the detectors that run live."""
