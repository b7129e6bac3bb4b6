"""TIFF pages and PNG files, checked against what a file can hold before anything is made of it."""
