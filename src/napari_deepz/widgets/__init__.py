"""The napari side: the only modules that import napari and Qt."""
