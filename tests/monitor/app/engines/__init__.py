"""Tests of the engines of a run."""
