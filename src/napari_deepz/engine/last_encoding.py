"""For who refocuses the same image again and again without saying so, such as the dock."""

from __future__ import annotations

import threading
from collections.abc import Generator

import numpy as np
from numpy.typing import ArrayLike

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.inputs import Surfaces
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.refocus import EncodedImage, RefocusedPlane
from napari_deepz.images import digest_of
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling
from napari_deepz.watch import UNWATCHED, Watch

Key = tuple[object, ...]
"""Tells pixels, sampling, model and computation apart; hashable."""


class LastEncoding:
    """Keeps the lens and the encoded image of the last run for the next one, where it has the same.

    Images are told apart by their pixels, so one that was changed in place is encoded anew. Safe
    to be used by several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[Key, EncodedImage] | None = None
        self._lens: tuple[Key, Lens] | None = None

    def iter_refocus(
        self,
        image: ArrayLike,
        surfaces: Surfaces,
        model: Model,
        *,
        sampling: Sampling | None = None,
        compute: Compute | None = None,
        watch: Watch = UNWATCHED,
    ) -> Generator[RefocusedPlane, None, None]:
        """Yield refocused planes; as the function `engine.refocus.iter_refocus`."""
        _, encoded = self.encode(image, model, sampling, compute)
        return encoded.iter_refocus(surfaces, watch=watch)

    def encode(
        self,
        image: ArrayLike,
        model: Model,
        sampling: Sampling | None,
        compute: Compute | None = None,
        *,
        digest: str | None = None,
    ) -> tuple[Key, EncodedImage]:
        """Give the encoded image, a new one unless it is the last one.

        Parameters
        ----------
        image, model, sampling, compute
            As for `EncodedImage`.
        digest : str, optional
            `images.digest_of` the image, for who knows it already.

        Returns
        -------
        key : tuple
            The same for the same pixels, model, sampling and computation.
        encoded : EncodedImage
            That of the last call with this key, or a new one.

        Raises
        ------
        ValueError
            As `EncodedImage`.
        """
        pixels = np.asarray(image)
        compute = compute or Compute()
        through = (model.spec.model_dump_json(), model.sha256, compute)
        key = (digest or digest_of(pixels), sampling, *through)
        with self._lock:
            if self._kept is not None and self._kept[0] == key:
                return self._kept
            self._kept = None  # Frees the old codes before there are new ones.
            if self._lens is None or self._lens[0] != through:
                self._lens = None
                self._lens = through, Lens(model, compute)
            self._kept = key, EncodedImage(pixels.copy(), self._lens[1], sampling=sampling)
            return self._kept
