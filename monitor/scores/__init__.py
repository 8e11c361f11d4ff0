"""Smoothing of scores without look-ahead, held-out scores, and the thresholds computed from them. Pure arithmetic."""
