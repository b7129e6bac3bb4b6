"""Neural networks that refocus, and the packages they are kept in."""

DEFAULT_MODEL = "widefield-20x-0.75"
