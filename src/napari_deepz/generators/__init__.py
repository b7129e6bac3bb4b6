"""Neural networks that refocus, and the packages they are kept in."""
