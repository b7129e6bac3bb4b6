"""Choosing, opening and adding models."""
