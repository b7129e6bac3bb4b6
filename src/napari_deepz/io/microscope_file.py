"""Images in the formats of microscopes: what their readers find becomes an image series."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_deepz.images import ImageFileError, ImageSeries, in_axis_order
from napari_deepz.io.colour import grey_from_colour
from napari_deepz.io.room import require_room
from napari_deepz.io.same_file import FileState
from napari_deepz.io.stated_optics import StatedOptics, plausible_optics
from napari_deepz.io.tiff_sizes import StatedSizes
from napari_deepz.io.units import plausible_pixel_um, plausible_z_step_um

_MOST_PLANES = 1_000_000


class FrameReader(Protocol):
    """Reads what a file keeps together: a plane, with its channels or colours or without."""

    def read(self, index: tuple[int, ...]) -> NDArray[Any]:
        """Read the frame at a place along the leading axes."""


@dataclass(frozen=True, eq=False)
class MicroscopeImage:
    """The image that was chosen in a file, and what the file says of it.

    Attributes
    ----------
    path, state
        The file as it was when it was opened.
    frames : FrameReader
        Reads its frames.
    leading : dict
        From the letter of an axis to its length, for the axes before those of a frame, in order.
    frame_axes : str
        Of a frame, such as "CYXS"; "S" are the samples of a pixel.
    frame_shape : tuple of int
        Along those.
    dtype : numpy.dtype
        Of the pixels.
    sizes, optics
        As the file states them.
    channel_names : tuple of str
        One for each channel; empty where the file does not name them.
    missing : ndarray of bool or None
        Along the leading axes: frames that were never taken.
    """

    path: Path
    state: FileState
    frames: FrameReader
    leading: dict[str, int]
    frame_axes: str
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sizes: StatedSizes
    optics: StatedOptics
    channel_names: tuple[str, ...]
    missing: NDArray[np.bool_] | None = None

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Name the array after what it reads."""
        return str(self.path), self.state, tuple(self.leading.items()), self.frame_shape

    def block(self, block_id: tuple[int, ...]) -> NDArray[Any]:
        """Read a frame, with axes of length 1 before its own."""
        index = block_id[: len(self.leading)]
        if self.missing is not None and self.missing[index]:
            frame = np.zeros(self.frame_shape, self.dtype)
        else:
            frame = self.frames.read(index)
        return frame[(np.newaxis,) * len(self.leading)]


def series_of(image: MicroscopeImage, name: str) -> ImageSeries:
    """Make an image series whose planes are read when they are asked for.

    Colours are loaded at once, to see whether they are grey.

    Raises
    ------
    ImageFileError
        If its size cannot be true, a frame does not fit into memory, or it holds what cannot
        be refocused.
    """
    file = image.path.name
    _require_readable(image)
    data, axes = _lazy(image), "".join(image.leading) + image.frame_axes
    if "S" in axes:
        samples = axes.index("S")
        if data.shape[samples] > 1:
            grey = grey_from_colour(np.moveaxis(np.asarray(data), samples, -1), file)
            data = da.from_array(grey, chunks=grey.shape)
        else:
            data = data[(slice(None),) * samples + (0,)]
        axes = axes.replace("S", "")
    missing = None
    if image.missing is not None and image.missing.any():
        missing = _missing(image.missing, data.shape, axes, file)
    data, ordered = in_axis_order(data, axes, file)
    pixel_size_um, problem = plausible_pixel_um(file, image.sizes.x_um, image.sizes.y_um)
    channels = data.shape[ordered.index("C")] if "C" in ordered else 1
    optics = plausible_optics(file, image.optics, channels)
    names = image.channel_names
    return ImageSeries(
        data,
        ordered,
        pixel_size_um,
        plausible_z_step_um(file, image.sizes.z_um) if "Z" in ordered else None,
        image.sizes.t_step_s if "T" in ordered else None,
        name,
        channel_names=names if any(names) and len(names) == channels else (),
        pixel_size_problem=problem,
        missing=missing,
        na=optics.na,
        immersion_index=optics.immersion_index,
        wavelengths_um=optics.wavelengths_um,
    )


@contextmanager
def sentences_for(name: str, kind: str) -> Iterator[None]:
    """Turn whatever the reader of a format raises into a sentence.

    Parameters
    ----------
    name : str
        The file.
    kind : str
        What it should be, such as "a CZI file of ZEISS".

    Raises
    ------
    ImageFileError
        In place of any other exception.
    """
    try:
        yield
    except ImageFileError:
        raise
    except MemoryError as error:
        raise ImageFileError(
            f"'{name}' needs more memory than there is, or is damaged: close other programs, or "
            "copy it again."
        ) from error
    except Exception as error:  # every reader has exceptions of its own
        if isinstance(error, OSError) and error.strerror and error.errno != errno.EINVAL:
            raise ImageFileError(f"'{name}' cannot be read: {error.strerror}.") from error
        raise ImageFileError(
            f"'{name}' is not {kind}, or it is damaged or was cut short: copy or export it again."
        ) from error


def missing_package(name: str) -> ImageFileError:
    """Make the error for a format whose reader is not installed."""
    return ImageFileError(
        f"'{name}' needs one more package to be read: install it with "
        "\"pip install 'napari-deepz[bioio]'\"."
    )


def _lazy(image: MicroscopeImage) -> da.Array:
    ones = ((1,) * length for length in image.leading.values())
    return da.map_blocks(
        partial(_read_block, image),
        chunks=(*ones, *((length,) for length in image.frame_shape)),
        dtype=image.dtype,
        meta=np.empty((0,) * (len(image.leading) + len(image.frame_shape)), image.dtype),
    )


def _read_block(image: MicroscopeImage, block_id: tuple[int, ...]) -> NDArray[Any]:
    return image.block(block_id)


def _require_readable(image: MicroscopeImage) -> None:
    name = image.path.name
    if min((*image.leading.values(), *image.frame_shape)) < 1:
        raise ImageFileError(f"'{name}' holds no pixels that can be used.")
    frames = math.prod(image.leading.values())
    if frames > _MOST_PLANES:
        raise ImageFileError(
            f"'{name}' is said to hold {frames} planes, more than the {_MOST_PLANES} that can be "
            "opened: it is damaged, or must be saved in pieces."
        )
    require_room(math.prod(image.frame_shape) * image.dtype.itemsize, name)


def _missing(
    missing: NDArray[np.bool_], shape: tuple[int, ...], axes: str, name: str
) -> NDArray[np.bool_]:
    """Which planes are missing, with the leading axes of the series that is made."""
    every = missing.reshape(missing.shape + (1,) * (len(shape) - missing.ndim))
    along = np.broadcast_to(every, (*shape[:-2], 1, 1))
    ordered: NDArray[np.bool_]
    ordered, _ = in_axis_order(along, axes, name)
    return np.ascontiguousarray(ordered[..., 0, 0])
