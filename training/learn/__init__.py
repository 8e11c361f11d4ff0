"""Learns what is normal for a camera: footage in, versions of its model out."""
