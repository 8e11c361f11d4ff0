"""Pre-trains True Sight 2 on many scenes."""
