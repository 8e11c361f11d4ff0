"""Is a picture worth scoring, is it upright, and does the camera show what it usually shows?

One verdict per frame, from the picture and, where the model has one, from the camera's viewpoint. Pure: no threads, no
clock; times are the stream's own, so recorded footage gets the same verdicts as a live camera.
"""
