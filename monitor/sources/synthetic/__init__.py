"""A synthetic street seen by a fixed camera, with its ground truth: footage without a camera or a download.

A pedestrian street. People walk from left to right on the near pavement and from right to left on the far one; nothing
drives. The picture of frame i is a pure function of (seed, i), so training, tests and the demo see the same bytes
however a frame was reached. The street is the same for every seed; people, light and noise are the seed's.
"""
