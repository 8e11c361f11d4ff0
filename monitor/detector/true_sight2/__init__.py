"""True Sight 2: a network trained on synthetic anomalies of the camera's own scene."""
