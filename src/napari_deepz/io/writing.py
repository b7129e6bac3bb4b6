"""Writing stacks and series: streamed plane by plane, and either complete or not there at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from napari_deepz.atomic_files import written_beside
from napari_deepz.io.layout import StackLayout
from napari_deepz.io.ome_tiff import write_ome_tiff
from napari_deepz.io.ome_zarr import zarr_package
from napari_deepz.io.ome_zarr_writing import OmeZarrVersion, write_ome_zarr
from napari_deepz.io.replacing import require_replaceable
from napari_deepz.provenance import Provenance
from napari_deepz.sampling import Sampling, as_sampling

STACK_SUFFIXES = (".tif", ".tiff", ".zarr")
"""How the names end that a stack can be written to."""

# Room for tables, metadata and half-filled blocks of the file system.
_MARGIN_BYTES = 2**20
_MARGIN_BYTES_PER_PLANE = 2**12

_Plane = np.ndarray[Any, np.dtype[Any]]


def write_stack(
    path: str | os.PathLike[str],
    planes: Iterable[_Plane],
    *,
    count: int,
    shape: tuple[int, int],
    dtype: DTypeLike = "float32",
    pixel_size_um: float | None = None,
    sampling: Sampling | None = None,
    z_step_um: float | None,
    z_start_um: float | None,
    name: str,
    provenance: Provenance | Callable[[], Provenance],
    t_count: int = 1,
    t_step_s: float | None = None,
    channel_names: Sequence[str] = (),
    wavelengths_um: Sequence[float | None] = (),
    ome_zarr_version: OmeZarrVersion = "0.5",
) -> None:
    """Write a stack (Z, Y, X) or a series of stacks while their planes are being made.

    No more than two planes are held at a time. The file grows under a temporary name in the same
    folder and gets its own name when it is complete: after a failure or a cancellation nothing is
    left of it, and a file that had the name before is still there, unchanged.

    Parameters
    ----------
    path : path
        Ends with .ome.tif, .tif (or .tiff), .ome.zarr or .zarr; where it is a link, the stack goes
        where that leads. A former result of the same kind is replaced.
    planes : iterable of ndarray
        Planes (Y, X): for each time point, for each of its channels, `count` planes in depth.
        Whatever it raises, `watch.Cancelled` included, is passed on.
    count : int
        Number of planes in depth, 1 for a series of single images.
    shape : tuple of int
        (Y, X) of every plane.
    dtype : dtype, optional
        Type to store: 8, 16, 32 bit integers or 32, 64 bit floats. Planes of another type are
        converted where no value can overflow or lose its fraction.
    pixel_size_um : float or None, optional
        Pixel size in µm, where nothing is known of the optics; None when unknown.
    sampling : Sampling or None, optional
        Pixel size and optics, in place of `pixel_size_um`.
    z_step_um : float or None
        Distance between planes in µm; None when unknown or uneven.
    z_start_um : float or None
        Axial position of the first plane in µm; None when unknown or not flat.
    name : str
        Name of the image, and of its channel where `channel_names` gives no other; cleaned of
        what has no place in one.
    provenance : Provenance or callable
        Saved with the pixels; `read_provenance` reads it back. A callable is asked before the
        first plane, since it decides what may be replaced, and again after the last one: what it
        returns then is saved, so notes that arise meanwhile are in it.
    t_count : int, optional
        Number of time points.
    t_step_s : float or None, optional
        Time between time points in seconds; None when unknown.
    channel_names : sequence of str, optional
        One for each channel, "" for one without a name; empty for a single channel.
    wavelengths_um : sequence of float or None, optional
        Emission wavelength of each channel in µm, None where it is unknown; that of `sampling`
        unless given.
    ome_zarr_version : {"0.5", "0.4"}, optional
        Of an OME-Zarr image: 0.5 (zarr 3), or 0.4 (zarr 2) for programs that read no other.

    Raises
    ------
    ValueError
        If a setting cannot be used, zarr is missing, anything but a former result of the same kind
        is there already, or the planes are too few, too many, of another shape, or of a type that
        does not fit into `dtype`.
    OSError
        If the folder does not exist, the disk has not enough room, or writing fails.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    layout = StackLayout(
        shape=(t_count, max(len(channel_names), 1), count, int(shape[0]), int(shape[1])),
        dtype=np.dtype(dtype).newbyteorder("="),
        sampling=as_sampling(sampling, pixel_size_um),
        z_step_um=z_step_um,
        z_start_um=z_start_um,
        name=name,
        t_step_s=t_step_s,
        channel_names=tuple(channel_names),
        wavelengths_um=tuple(wavelengths_um),
    )
    if ome_zarr_version not in get_args(OmeZarrVersion):
        raise ValueError(
            f"OME-Zarr of version {ome_zarr_version} cannot be written: choose 0.5 or 0.4."
        )
    _require_usable(path, target)
    record = provenance if callable(provenance) else partial(_as_it_is, provenance)
    require_replaceable(path, record().kind)
    _require_room(target, layout)
    with written_beside(path) as beside:
        checked = _checked(planes, layout, path.name)
        if _is_zarr(path):
            write_ome_zarr(beside, checked, layout, record, ome_zarr_version)
        else:
            write_ome_tiff(beside, checked, layout, record)


def _as_it_is(provenance: Provenance) -> Provenance:
    return provenance


def _is_zarr(path: Path) -> bool:
    return path.suffix.lower() == ".zarr"


def _require_usable(path: Path, target: Path) -> None:
    if path.suffix.lower() not in STACK_SUFFIXES:
        raise ValueError(
            f"'{path.name}' is not a name that a stack can be written to: let it end with "
            ".ome.tif or .ome.zarr."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder '{target.parent}' to write '{path.name}' into."
        )
    if not _is_zarr(path):
        if path.is_dir():
            raise ValueError(f"'{path}' is a folder: choose another name for the file.")
        return
    zarr_package()
    if path.exists() and not any((path / mark).is_file() for mark in ("zarr.json", ".zgroup")):
        raise ValueError(f"'{path}' exists and is not a zarr image: choose another name.")


def _require_room(target: Path, layout: StackLayout) -> None:
    needed = layout.nbytes + _MARGIN_BYTES + layout.count * _MARGIN_BYTES_PER_PLANE
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise OSError(
            f"'{target.name}' needs {needed / 1e9:.3g} GB, but only {free / 1e9:.3g} GB are free "
            f"in '{target.parent}': make room or choose another folder."
        )


def _checked(planes: Iterable[_Plane], layout: StackLayout, name: str) -> Iterator[_Plane]:
    """Pass on exactly the planes that were announced, converted to the type to be stored."""
    source = iter(planes)
    for index in range(layout.count):
        try:
            plane = np.asarray(next(source))
        except StopIteration:
            raise ValueError(
                f"'{name}' was not written: only {index} of its {layout.count} planes were made."
            ) from None
        if plane.shape != layout.plane_shape:
            raise ValueError(
                f"'{name}' was not written: plane {index} has the shape {plane.shape} in place of "
                f"{layout.plane_shape}."
            )
        allowed: Literal["same_kind", "safe"] = "same_kind" if layout.dtype.kind == "f" else "safe"
        if not np.can_cast(plane.dtype, layout.dtype, allowed):
            raise ValueError(
                f"'{name}' was not written: pixels of type {plane.dtype} do not fit into "
                f"{layout.dtype} without loss."
            )
        yield plane.astype(layout.dtype, copy=False)
        del plane
    if next(source, None) is not None:
        raise ValueError(f"'{name}' was not written: more than {layout.count} planes were made.")
