"""Training, evaluation and the competition's submission file. All use exactly the same detectors as a live run."""
