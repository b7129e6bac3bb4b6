"""The generator of any objective, measured on simulated objectives and on real stacks."""
