"""True Sight 2: a network that is trained with synthetic anomalies in the camera's own scene."""
