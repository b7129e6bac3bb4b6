"""Movies made three-dimensional: the run as a value, its frames, and the file they go to."""
