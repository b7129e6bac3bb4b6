"""Saving and repeating a result."""
