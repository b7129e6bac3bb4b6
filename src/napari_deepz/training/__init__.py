"""Simulated focal stacks and the training of generators on them."""
