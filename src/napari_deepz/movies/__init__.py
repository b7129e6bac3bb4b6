"""Movies: frames of one place over time, their light and their motion."""
