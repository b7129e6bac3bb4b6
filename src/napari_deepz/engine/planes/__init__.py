"""Several input planes of one place: brought together, each refocused, and merged."""
