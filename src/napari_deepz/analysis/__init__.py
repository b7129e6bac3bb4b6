"""Measures of how far a virtual slice may be trusted."""
