"""The published True Sight model: the autoencoder, the score of seven terms, and their fast implementations."""
