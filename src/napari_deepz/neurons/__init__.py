"""Neurons of a movie: found in the virtual volume, measured on the frames as they were taken."""
