"""A movie of stacks as OME-Zarr, written frame by frame, that a killed run leaves to go on with."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from napari_deepz.atomic_files import WriteError, reason_of, written_beside
from napari_deepz.io.layout import StackLayout
from napari_deepz.io.movie_frames import FRAMES, WrittenFrame, read_frames
from napari_deepz.io.ome_zarr import RECORD, zarr_package
from napari_deepz.io.ome_zarr_writing import attributes_of
from napari_deepz.io.packing import STORED, Packing
from napari_deepz.io.replacing import foreign
from napari_deepz.provenance import Provenance

_LOCK = "napari-deepz-lock"
_SETTINGS = "settings"
_PARTIAL = ".partial"
_COMPRESSOR, _LEVEL = "lz4", 1
_MOST_CHUNK_BYTES = 64 * 2**20
_LEAST_COMPRESSED = 4
"""Planes of a network shrink to less than a fourth."""


@dataclass(frozen=True, eq=False)
class MovieStore:
    """A movie (T, Z, Y, X) that is being written; several threads may write frames at once.

    Attributes
    ----------
    path : Path
        The folder.
    array : zarr.Array
        Its pixels; each of its parts is a frame, or a plane of one.
    layout : StackLayout
        Shape and sizes.
    packing : Packing or None
        How intensities are stored; None for float32.
    frames : dict
        What was written so far, by time.
    """

    path: Path
    array: Any
    layout: StackLayout
    packing: Packing | None
    frames: dict[int, WrittenFrame]
    _lock: threading.Lock

    @property
    def created(self) -> str:
        """When it was begun."""
        return str(_attributes(self.path)[RECORD]["provenance"]["created"])

    def write(
        self,
        t: int,
        planes: Iterable[tuple[int, NDArray[np.float32]]],
        notes: Iterable[str] = (),
    ) -> None:
        """Store the planes of a frame as they come, then mark it as written.

        Parameters
        ----------
        t : int
            Which one.
        planes : iterable of (int, ndarray)
            Index in depth, and (Y, X), of each.
        notes : iterable of str, optional
            What was noticed, once all planes have come.

        Raises
        ------
        WriteError
            If it cannot be; one sentence. All frames before stay written.
        """
        together = self.array.chunks[1] > 1
        stack = np.empty(self.array.shape[1:], self.array.dtype) if together else None
        lows, highs, beyond = [], [], 0
        try:
            for index, plane in planes:
                stored, outside = (plane, 0) if self.packing is None else self.packing.pack(plane)
                lows.append(float(stored.min()))
                highs.append(float(stored.max()))
                beyond += outside
                if stack is None:
                    self._put((t, index, 0, 0), stored)
                else:
                    stack[index] = stored
            if stack is not None:
                self._put((t, 0, 0, 0), stack)
            frame = WrittenFrame(t, min(lows), max(highs), beyond, tuple(notes))
            with self._lock, (self.path / FRAMES).open("a", encoding="ascii") as file:
                file.write(json.dumps(asdict(frame)) + "\n")
        except OSError as error:
            raise WriteError(
                f"Frame {t} of '{self.path.name}' could not be written: {reason_of(error)}. Run "
                "the same again to go on with it."
            ) from error
        self.frames[t] = frame

    def _put(self, place: tuple[int, ...], pixels: NDArray[Any]) -> None:
        """Write one part of the array, in the thread that has it.

        As zarr would, which hands it from thread to thread: with a network beside it in every
        core, frames of 512² took 1.5 times as long.
        """
        file = self.path / "0" / self.array.metadata.encode_chunk_key(place)
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(file.name + _PARTIAL)
        beside.write_bytes(_codec().encode(np.ascontiguousarray(pixels)))
        os.replace(beside, file)

    def finish(self, record: Provenance) -> None:
        """Say that all frames are there, with all that was noticed on the way."""
        in_order = [self.frames[t] for t in range(len(self.frames))]
        attributes = attributes_of(
            self.layout,
            record,
            "0.5",
            [[one.low for one in in_order] + [one.high for one in in_order]],
        )
        group = zarr_package().open_group(str(self.path), mode="r+")
        settings = group.attrs[RECORD][_SETTINGS]
        attributes[RECORD][_SETTINGS] = settings
        group.attrs.put(attributes)
        (self.path / FRAMES).unlink()


@contextmanager
def opened_movie(
    path: Path, layout: StackLayout, packing: Packing | None, record: Provenance, settings: Any
) -> Iterator[MovieStore | None]:
    """Begin a movie, or go on with one that was begun with the same settings.

    Parameters
    ----------
    path : Path
        Folder, which ends with .zarr.
    layout : StackLayout
        Shape (T, 1, Z, Y, X) and sizes.
    packing : Packing or None
        How intensities are stored; None for float32.
    record : Provenance
        How the movie is made.
    settings : dict
        All that the pixels depend on, as JSON: a movie of other ones is not gone on with.

    Yields
    ------
    MovieStore or None
        None where the movie is complete already.

    Raises
    ------
    ValueError
        If something else lies there, another process is writing it, or zarr is missing.
    OSError
        If it cannot be written.
    """
    zarr_package()
    if not path.exists():
        _require_room(path, layout)
        with written_beside(path) as beside:
            _create(beside, layout, packing, record, settings)
    begun = _settings_of(path)
    if difference := _difference(begun, settings):
        raise ValueError(
            f"'{path}' exists and holds a movie made otherwise ({difference}): choose another "
            "output name, or delete it."
        )
    if not (path / FRAMES).exists():
        yield None
        return
    try:
        with filelock.FileLock(path / _LOCK, timeout=0):
            yield _opened(path, layout, packing)
    except filelock.Timeout:
        raise ValueError(f"'{path}' is being written by another process: wait for it.") from None
    if not (path / FRAMES).exists():
        (path / _LOCK).unlink(missing_ok=True)


def _opened(path: Path, layout: StackLayout, packing: Packing | None) -> MovieStore:
    frames = read_frames(path) or {}
    # A line that was cut short would spoil the next one.
    lines = "".join(json.dumps(asdict(frame)) + "\n" for frame in frames.values())
    (path / FRAMES).write_text(lines, encoding="ascii")
    for left in (path / "0").rglob(f"*{_PARTIAL}"):
        left.unlink()
    array = zarr_package().open_group(str(path), mode="r+")["0"]
    return MovieStore(path, array, layout, packing, frames, threading.Lock())


def _create(
    folder: Path, layout: StackLayout, packing: Packing | None, record: Provenance, settings: Any
) -> None:
    zarr = zarr_package()
    dtype = layout.dtype if packing is None else STORED
    times, depths, height, width = layout.stored_shape
    whole = depths * height * width * dtype.itemsize
    group = zarr.create_group(str(folder), zarr_format=3)
    group.create_array(
        "0",
        shape=(times, depths, height, width),
        chunks=(1, depths, height, width) if whole <= _MOST_CHUNK_BYTES else (1, 1, height, width),
        dtype=dtype,
        compressors=zarr.codecs.BloscCodec(cname=_COMPRESSOR, clevel=_LEVEL, shuffle="bitshuffle"),
        dimension_names=list(layout.axes.lower()),
        attributes={} if packing is None else packing.attributes,
    )
    attributes = attributes_of(layout, record, "0.5", [[]])
    attributes[RECORD][_SETTINGS] = settings
    group.attrs.put(attributes)
    (folder / FRAMES).touch()


@cache
def _codec() -> Any:
    import numcodecs

    return numcodecs.Blosc(cname=_COMPRESSOR, clevel=_LEVEL, shuffle=numcodecs.Blosc.BITSHUFFLE)


def _settings_of(path: Path) -> dict[str, Any]:
    try:
        begun = _attributes(path)[RECORD][_SETTINGS]
    except Exception as error:  # no group, broken JSON, another's: each its own class
        raise foreign(path) from error
    if not isinstance(begun, dict):
        raise foreign(path)
    return begun


def _attributes(path: Path) -> dict[str, Any]:
    attributes: dict[str, Any] = zarr_package().open_group(str(path), mode="r").attrs.asdict()
    return attributes


def _difference(begun: dict[str, Any], settings: dict[str, Any]) -> str | None:
    """The first setting that is another one, in words."""
    for name in (*settings, *begun):
        if begun.get(name) != settings.get(name):
            return f"its setting '{name}' is another one"
    return None


def _require_room(path: Path, layout: StackLayout) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder '{path.parent}' to write '{path.name}' into.")
    needed = layout.nbytes / _LEAST_COMPRESSED
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise OSError(
            f"'{path.name}' needs about {needed / 1e9:.3g} GB, but only {free / 1e9:.3g} GB are "
            f"free in '{os.fspath(path.parent)}': make room or choose another folder."
        )
