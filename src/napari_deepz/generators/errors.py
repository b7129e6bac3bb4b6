"""What goes wrong with models, in sentences."""

from __future__ import annotations


class ModelError(ValueError):
    """A model that cannot be found or used; the message is one sentence for the user."""
