"""Model folders: what is stored, which version is used, and the model of a camera that has none yet."""
