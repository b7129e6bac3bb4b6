"""Reading ND2 files of Nikon; needs the optional package nd2."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.images import ImageFileError, ImageSeries
from napari_deepz.io.microscope_file import (
    MicroscopeImage,
    missing_package,
    sentences_for,
    series_of,
)
from napari_deepz.io.noticing import note
from napari_deepz.io.ome_optics import emission_um
from napari_deepz.io.same_file import FileState, opened_again, state_of
from napari_deepz.io.stated_optics import StatedOptics
from napari_deepz.io.tiff_image import note_first_of, note_missing
from napari_deepz.io.tiff_sizes import StatedSizes
from napari_deepz.io.units import positive_number, time_s

_KIND = "an ND2 file of Nikon"
_FRAME_AXES = "CYXS"
_POSITION = "P"
_FURTHER = "U"


def read_nd2(path: Path, name: str) -> ImageSeries:
    """Read the first position of an ND2 file.

    Parameters
    ----------
    path : Path
        An existing file.
    name : str
        Name of the image.

    Returns
    -------
    ImageSeries
        Planes are read when they are asked for.

    Raises
    ------
    ImageFileError
        If nd2 is not installed, or the file is no ND2 file, damaged, or holds what cannot be
        refocused.
    """
    package = _package(path.name)
    with path.open("rb") as opened:
        state = state_of(opened.fileno())
    file = _File(path, state)
    with file.opened(), sentences_for(path.name, _KIND), _own_warnings_only():
        nd2 = package.ND2File(file)
        along = _loops(nd2, path.name)
        about = nd2.attributes
        channels = about.channelCount or 1
        shape = (channels, about.heightPx, about.widthPx or 1, about.componentCount // channels)
        image = MicroscopeImage(
            path,
            state,
            _Frames(nd2, file, along, shape),
            {axis: length for axis, length in along.items() if axis != _POSITION},
            _FRAME_AXES,
            shape,
            nd2.dtype,
            *_stated(nd2, path.name),
            _missing(about.sequenceCount, along, path.name),
        )
    if along.get(_POSITION, 1) > 1:
        note_first_of(along[_POSITION], path.name)
    return series_of(image, name)


def _package(name: str) -> Any:
    try:
        import nd2
    except ImportError as error:
        raise missing_package(name) from error
    return nd2


@contextmanager
def _own_warnings_only() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _loops(nd2: Any, name: str) -> dict[str, int]:
    """Axes before those of a frame and their lengths, in the order in which frames are stored."""
    along = {axis: length for axis, length in nd2.sizes.items() if axis not in _FRAME_AXES}
    frames = 1
    for loop in nd2.experiment:
        frames *= loop.count
    if _FURTHER in along or frames != math.prod(along.values()):
        raise ImageFileError(
            f"'{name}' keeps a further dimension beside time points, positions and planes: save "
            "the wanted part alone, or as an OME-TIFF."
        )
    return along


def _stated(nd2: Any, name: str) -> tuple[StatedSizes, StatedOptics, tuple[str, ...]]:
    """Sizes, optics and names of channels; without them the image can still be used."""
    try:
        channels = list(nd2.metadata.channels or [])
    except Exception:  # of a description that nd2 has not met yet
        note(
            f"What describes the image in '{name}' cannot be read, so its sizes and optics count "
            "as unknown."
        )
        channels = []
    if not channels:
        return StatedSizes(t_step_s=_t_step_s(nd2)), StatedOptics(), ()
    volume, microscope = channels[0].volume, channels[0].microscope
    calibrated = zip(volume.axesCalibration, volume.axesCalibrated, strict=True)
    x_um, y_um, z_um = (
        positive_number(size_um) if known else None for size_um, known in calibrated
    )
    optics = StatedOptics(
        positive_number(microscope.objectiveNumericalAperture),
        positive_number(microscope.immersionRefractiveIndex),
        tuple(emission_um(channel.channel.emissionLambdaNm) for channel in channels),
    )
    names = tuple(channel.channel.name or "" for channel in channels)
    return StatedSizes(x_um, y_um, z_um, _t_step_s(nd2)), optics, names


def _t_step_s(nd2: Any) -> float | None:
    """Time between frames as it was measured, else as it was planned."""
    for loop in nd2.experiment:
        if "TimeLoop" in loop.type:
            periods = getattr(loop.parameters, "periods", None) or [loop.parameters]
            measured = getattr(periods[0].periodDiff, "avg", None)
            step_s = time_s(measured, "ms") or time_s(periods[0].periodMs, "ms")
            return step_s if len(periods) == 1 else None
    return None


def _missing(there: int, along: dict[str, int], name: str) -> NDArray[np.bool_] | None:
    """Frames of the first position that a recording which was stopped did not take."""
    lengths = tuple(along.values())
    missing = np.greater_equal(np.arange(math.prod(lengths)), there).reshape(lengths)
    if _POSITION in along:
        missing = missing.take(0, axis=list(along).index(_POSITION))
    if not missing.any():
        return None
    note_missing(int(np.sum(~missing)), missing.shape, name)
    return missing


class _File:
    """A file for nd2 that is open only while something is read.

    nd2 maps a file that it opens itself into memory, and a mapped file that is cut ends the whole
    program; of one that is handed to it, it only reads.
    """

    closed = False

    def __init__(self, path: Path, state: FileState) -> None:
        self.name = path.name
        self._path, self._state = path, state
        self._file: IO[bytes] | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        with opened_again(self._path, self._state) as self._file:
            try:
                yield
            finally:
                self._file = None

    def read(self, count: int = -1) -> bytes:
        return self._now().read(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._now().seek(offset, whence)

    def tell(self) -> int:
        return self._now().tell()

    def close(self) -> None:
        """Left to `opened`."""

    def _now(self) -> IO[bytes]:
        if self._file is None:
            raise ValueError("the file is not open")
        return self._file


class _Frames:
    """Frames of the first position, read with what was parsed when the file was opened."""

    def __init__(
        self, nd2: Any, file: _File, along: dict[str, int], shape: tuple[int, ...]
    ) -> None:
        self._nd2, self._file, self._shape = nd2, file, shape
        self._lengths = tuple(along.values())
        self._position = list(along).index(_POSITION) if _POSITION in along else None
        self._lock = threading.Lock()

    def read(self, index: tuple[int, ...]) -> NDArray[Any]:
        if self._position is not None:
            index = (*index[: self._position], 0, *index[self._position :])
        number = int(np.ravel_multi_index(index, self._lengths)) if index else 0
        with self._lock, self._file.opened(), sentences_for(self._file.name, _KIND):
            frame: NDArray[Any] = self._nd2.read_frame(number).reshape(self._shape)
        return frame
