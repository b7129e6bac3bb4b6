"""The neural networks that refocus, and what is asked of each."""
