"""Appearance: compares the texture of what moves with the textures learned at each place."""
