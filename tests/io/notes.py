"""What is noticed while files are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from napari_deepz.io.noticing import noticing


@contextmanager
def noted(pattern: str) -> Iterator[None]:
    """Something that matches is noticed within."""
    with noticing() as notes:
        yield
    assert any(re.search(pattern, note) for note in notes), notes
