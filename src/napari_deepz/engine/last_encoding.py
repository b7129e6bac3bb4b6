"""For who refocuses the same image again and again without saying so, such as the dock."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator

import numpy as np
from numpy.typing import ArrayLike

from napari_deepz.engine.inputs import Surfaces
from napari_deepz.engine.refocus import EncodedImage, RefocusedPlane
from napari_deepz.models.package import Model
from napari_deepz.watch import Progress, StopCondition

Key = tuple[object, ...]
"""Tells pixels, model and pixel size apart; hashable."""


class LastEncoding:
    """Keeps the encoded image of the last run, and uses it where the next one has the same image.

    Images are told apart by their pixels, so one that was changed in place is encoded anew. Safe
    to be used by several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[Key, EncodedImage] | None = None

    def iter_refocus(
        self,
        image: ArrayLike,
        surfaces: Surfaces,
        model: Model,
        *,
        pixel_size_um: float | None = None,
        should_stop: StopCondition | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Generator[RefocusedPlane, None, None]:
        """Yield refocused planes; as the function `engine.refocus.iter_refocus`."""
        _, encoded = self.encode(image, model, pixel_size_um)
        return encoded.iter_refocus(surfaces, should_stop=should_stop, on_progress=on_progress)

    def encode(
        self, image: ArrayLike, model: Model, pixel_size_um: float | None
    ) -> tuple[Key, EncodedImage]:
        """Give the encoded image, a new one unless it is the last one.

        Parameters
        ----------
        image, model, pixel_size_um
            As for `EncodedImage`.

        Returns
        -------
        key : tuple
            The same for the same pixels, model and pixel size.
        encoded : EncodedImage
            That of the last call with this key, or a new one.

        Raises
        ------
        ValueError
            As `EncodedImage`.
        """
        pixels = np.asarray(image)
        digest = hashlib.blake2b(pixels.tobytes()).digest()
        card = model.spec.model_dump_json()
        key = (digest, pixels.shape, pixels.dtype.str, card, model.sha256, pixel_size_um)
        with self._lock:
            if self._kept is not None and self._kept[0] == key:
                return self._kept
            self._kept = None  # Frees the old codes before there are new ones.
            self._kept = key, EncodedImage(pixels.copy(), model, pixel_size_um=pixel_size_um)
            return self._kept
