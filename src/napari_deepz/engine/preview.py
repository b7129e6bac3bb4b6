"""A surface shown at once, and better a moment later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from napari_deepz.engine.encoded import Encoded
from napari_deepz.engine.last_encoding import Key
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.models.package import Model
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import FromImage, Surface
from napari_deepz.watch import Watch

Rectangle = tuple[slice, slice]

REST_S = 0.15
_LOOK_EVERY_S = 0.01
_MARGIN_PX = 32
_SIDE_ENCODING_ONCE_PX = 384
_SIDE_ENCODING_ALWAYS_PX = 160


class Stage(StrEnum):
    """How good a preview is."""

    BLENDED = "put together from planes"
    PART = "the middle of the view"
    EXACT = "exact"


@dataclass(frozen=True, eq=False)
class Preview:
    """A virtual image, or the part of it that the user looks at.

    Attributes
    ----------
    data : ndarray
        (Y, X) float32, in the image's units.
    at : tuple of slice
        Rows and columns of the image that it covers.
    stage : Stage
        `EXACT` has the pixels that a run has.
    """

    data: NDArray[np.float32]
    at: Rectangle
    stage: Stage


@dataclass(frozen=True, eq=False)
class PreviewRequest:
    """What is to be shown.

    Attributes
    ----------
    encoded : Encoded
        The image.
    key : tuple
        Of image and model, for the cache.
    model : Model
        The generator.
    surface : Surface
        One plane: a `Flat` of one depth, or any other surface.
    shape : tuple of int
        (Y, X) of the image.
    sampling : Sampling
        Of the image.
    view : tuple of slice
        Rows and columns that are seen.
    """

    encoded: Encoded
    key: Key
    model: Model
    surface: Surface
    shape: tuple[int, int]
    sampling: Sampling
    view: Rectangle


class Previewer:
    """Refocuses for the eye: something at once, the exact image when there is time.

    Parameters
    ----------
    planes : PlaneCache
        Known planes; exact flat ones of models that take long are added.
    """

    def __init__(self, planes: PlaneCache) -> None:
        self._planes = planes
        self._part: tuple[Encoded, Rectangle, Encoded] | None = None

    def iter_preview(
        self,
        request: PreviewRequest,
        *,
        is_stale: Callable[[], bool],
        watch: Watch,
    ) -> Iterator[Preview]:
        """Yield what can be shown of a surface, ever better.

        An encoded image is shown exactly, at once. Otherwise the surface is put together from
        known planes, where there are enough; then the middle of the view is refocused; and once
        the user has not moved for 0.15 s, the whole image.

        Parameters
        ----------
        request : PreviewRequest
            What is to be shown.
        is_stale : callable
            Whether something else is wanted by now: what takes long is then given up.
        watch : Watch
            Says when nothing is wanted any more.

        Yields
        ------
        Preview
            The last one is exact unless it became stale.

        Raises
        ------
        Cancelled
            When asked to stop, or stale in the middle of what takes long.
        """
        encoded, surface = request.encoded, request.surface
        whole = (slice(0, request.shape[0]), slice(0, request.shape[1]))
        if not encoded.is_ready:
            found = self._from_planes(request)
            if found is not None:
                yield Preview(found[0], whole, found[1])
                if found[1] is Stage.EXACT:
                    return
            part = _middle(request)
            if part != whole:
                yield Preview(self._refocus_part(request, part, watch), part, Stage.PART)
                if _moved_within_rest(is_stale):
                    return

        def give_up() -> bool:
            return watch.should_stop() or (is_stale() and not encoded.is_ready)

        exact = encoded.refocus(surface, watch=Watch(give_up)).data[0]
        depth_um = _depth_um(surface)
        if not encoded.is_ready and depth_um is not None:
            self._planes.add(request.key, depth_um, exact)
        yield Preview(exact, whole, Stage.EXACT)

    def _from_planes(self, request: PreviewRequest) -> tuple[NDArray[np.float32], Stage] | None:
        depth_um = _depth_um(request.surface)
        known = None if depth_um is None else self._planes.get(request.key, depth_um)
        if known is not None:
            return known, Stage.EXACT
        dpm_um = request.surface.dpm(request.shape, request.sampling.pixel_size_um)
        blended = self._planes.blend(request.key, dpm_um)
        return None if blended is None else (blended, Stage.BLENDED)

    def _refocus_part(
        self, request: PreviewRequest, part: Rectangle, watch: Watch
    ) -> NDArray[np.float32]:
        """Refocus a rectangle with a margin of real pixels around it."""
        wide_y, wide_x = (
            slice(max(0, span.start - _MARGIN_PX), min(length, span.stop + _MARGIN_PX))
            for span, length in zip(part, request.shape, strict=True)
        )
        encoded = self._encoded_part(request.encoded, (wide_y, wide_x))
        surface = request.surface
        if _depth_um(surface) is None:
            dpm_um = surface.dpm(request.shape, request.sampling.pixel_size_um)
            surface = FromImage(dpm_um[wide_y, wide_x])
        data = encoded.refocus(surface, watch=watch).data[0]
        rows, columns = (
            slice(span.start - wide.start, span.stop - wide.start)
            for span, wide in zip(part, (wide_y, wide_x), strict=True)
        )
        middle: NDArray[np.float32] = data[rows, columns]
        return middle

    def _encoded_part(self, whole: Encoded, wide: Rectangle) -> Encoded:
        if self._part is None or self._part[:2] != (whole, wide):
            self._part = whole, wide, whole.part(*wide)
        return self._part[2]


def _depth_um(surface: Surface) -> float | None:
    depths_um = surface.uniform_z_um
    return None if depths_um is None else depths_um[0]


def _middle(request: PreviewRequest) -> Rectangle:
    """A rectangle around the centre of the view that takes little time.

    It begins where the generator's own grid of strides does in the whole image.
    """
    network = request.model.network
    side = _SIDE_ENCODING_ALWAYS_PX if network.code_channels == 1 else _SIDE_ENCODING_ONCE_PX
    rows, columns = (
        _centred(seen, side, length, network.size_multiple)
        for seen, length in zip(request.view, request.shape, strict=True)
    )
    return rows, columns


def _centred(seen: slice, side: int, length: int, multiple: int) -> slice:
    wanted = min(side, length)
    first = (seen.start + seen.stop - wanted) // 2
    first = min(max(first, 0), length - wanted) // multiple * multiple
    return slice(first, first + wanted)


def _moved_within_rest(is_stale: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + REST_S
    while time.monotonic() < until_s:
        if is_stale():
            return True
        time.sleep(_LOOK_EVERY_S)
    return False
