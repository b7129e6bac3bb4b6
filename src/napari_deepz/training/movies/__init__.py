"""Simulated movies of neurons: a scene, what the optics leave of it, and the camera."""
