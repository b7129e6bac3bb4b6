"""For who refocuses the same image again and again without saying so, such as the dock."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.encoded import Encoded
from napari_deepz.engine.inputs import Surfaces
from napari_deepz.engine.lens import Lens
from napari_deepz.engine.planes.encoded_planes import EncodedPlanes
from napari_deepz.engine.planes.shares import Merge
from napari_deepz.engine.refocus import EncodedImage, RefocusedPlane
from napari_deepz.images import digest_of
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling
from napari_deepz.watch import UNWATCHED, Watch

Key = tuple[object, ...]
"""Tells pixels, sampling, model and computation apart; hashable."""


@dataclass(frozen=True, eq=False)
class FurtherPlanes:
    """What else was taken of the place of an image.

    Attributes
    ----------
    images : sequence of ndarray
        (Y, X) each.
    at_um : tuple of float
        Where the first image and these were taken.
    merge : str or None
        As for `EncodedPlanes`.
    """

    images: Sequence[NDArray[Any]]
    at_um: tuple[float, ...]
    merge: Merge | None

    @cached_property
    def key(self) -> Key:
        """Tells them apart."""
        return (*map(digest_of, self.images), self.at_um, self.merge)


class LastEncoding:
    """Keeps the lens and the encoded image of the last run for the next one, where it has the same.

    Images are told apart by their pixels, so one that was changed in place is encoded anew. Safe
    to be used by several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[Key, Encoded] | None = None
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
        further: FurtherPlanes | None = None,
    ) -> tuple[Key, Encoded]:
        """Give the encoded image, a new one unless it is the last one.

        Parameters
        ----------
        image, model, sampling, compute
            As for `EncodedImage`.
        digest : str, optional
            `images.digest_of` the image, for who knows it already.
        further : FurtherPlanes, optional
            What else was taken of the same place.

        Returns
        -------
        key : tuple
            The same for the same pixels, model, sampling and computation.
        encoded : Encoded
            That of the last call with this key, or a new one.

        Raises
        ------
        ValueError
            As `EncodedImage`.
        """
        pixels = np.asarray(image)
        compute = compute or Compute()
        through = (model.spec.model_dump_json(), model.sha256, compute)
        among = None if further is None else further.key
        key = (digest or digest_of(pixels), among, sampling, *through)
        with self._lock:
            if self._kept is not None and self._kept[0] == key:
                return self._kept
            known, self._kept = self._kept, None
            if self._lens is None or self._lens[0] != through:
                self._lens = None
                self._lens = through, Lens(model, compute)
            lens = self._lens[1]
            if further is None:
                known = None  # Frees the old codes before there are new ones.
                self._kept = key, EncodedImage(pixels.copy(), lens, sampling=sampling)
                return self._kept
            self._kept = (
                key,
                EncodedPlanes(
                    [pixels.copy(), *(image.copy() for image in further.images)],
                    further.at_um,
                    lens,
                    merge=further.merge,
                    sampling=sampling,
                    known=None if known is None else known[1],
                ),
            )
            return self._kept
