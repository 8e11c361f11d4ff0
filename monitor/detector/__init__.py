"""Detectors: frames in, scores and anomaly maps out. To add one, write its module and register it in ``registry``."""
