"""Checks if a picture can be scored, if it is upright, and if the camera shows its usual view.

There is one verdict per frame. It is based on the picture and, if the model has one, on the camera's viewpoint. This
package is pure: no threads, no clock. It uses the stream's own times, so recorded footage gets the same verdicts as a
live camera.
"""
