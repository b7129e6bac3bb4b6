"""``python -m napari_deepz`` is the command line."""

from napari_deepz.cli import main

main()
