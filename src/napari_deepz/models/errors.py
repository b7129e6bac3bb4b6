"""What goes wrong with models, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ModelError(ValueError):
    """A model that cannot be found or used; the message is one sentence for the user."""


def quoted(text: object, longest: int = 80) -> str:
    """Text from a file as a sentence can show it.

    Parameters
    ----------
    text : object
        What the file says.
    longest : int
        Characters of it that are shown.

    Returns
    -------
    str
        Shortened, and without line breaks or codes that a terminal would obey.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text)[:longest])
    return shown if len(str(text)) <= longest else f"{shown}…"


def refusal_of_program(whose: str) -> str:
    """Say that a TorchScript network is not used.

    Parameters
    ----------
    whose : str
        Such as "of the model in worm.zip".
    """
    return (
        f"The network {whose} is a TorchScript program, and napari-deepz runs no programs of "
        "others, which can hang or end it; ask who made it for a package of napari-deepz with the "
        "weights as safetensors, or for the TensorFlow model, which 'napari-deepz models convert' "
        "takes."
    )


@contextmanager
def reading(called: str) -> Iterator[None]:
    """Turn what the system says about a file that cannot be read into a `ModelError`.

    Parameters
    ----------
    called : str
        What the sentence calls the file.
    """
    try:
        yield
    except OSError as error:
        raise ModelError(f"{called} cannot be read: {error.strerror or error}.") from error
