"""Trains the published autoencoder: footage and a recipe in, a model folder out."""
