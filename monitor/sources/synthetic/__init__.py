"""A synthetic street seen by a fixed camera, with its ground truth: footage without a camera or a download.

It is a pedestrian street. People walk from left to right on the near pavement and from right to left on the far one.
No vehicle drives there. The picture of frame i is a pure function of (seed, i). So training, tests and the demo see the
same bytes, no matter in which order frames are read. The street is the same for every seed; people, light and noise
depend on the seed.
"""
