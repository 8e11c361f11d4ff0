"""Detectors: frames in, scores and anomaly maps out. To add a detector, write a module and list it in ``registry``."""
