"""Training on simulated stacks of any objective, in optical units."""
