"""Refocus fluorescence images after the fact with Deep-Z."""

from importlib.metadata import version

__version__ = version("napari-deepz")
