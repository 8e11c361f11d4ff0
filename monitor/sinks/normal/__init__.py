"""Small pictures of calm footage of each camera: what was normal instead, beside an alert and a moment."""
