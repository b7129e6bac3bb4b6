"""Neurons of simulated movies, found and measured, against the truth."""
