"""What scores mean: causal smoothing, held-out scores, and the thresholds computed from them. Pure arithmetic."""
