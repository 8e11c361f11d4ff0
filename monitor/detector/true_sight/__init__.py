"""The published True Sight model: autoencoder, seven-term score, and their fast implementations."""
