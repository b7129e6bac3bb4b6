"""Image files of every kind that is read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

STACK = np.random.default_rng(3).integers(0, 4000, (5, 40, 48)).astype(np.uint16)


def write_imagej(
    path: Path,
    data: Any,
    *,
    pixels_per_unit: tuple[float, ...] = (1.0, 1.0),
    resolutionunit: Any = 1,
    **metadata: Any,
) -> None:
    tifffile.imwrite(
        path,
        data,
        imagej=True,
        resolution=pixels_per_unit,
        resolutionunit=resolutionunit,
        metadata=metadata,
    )


def write_zarr(
    path: Path,
    data: Any,
    version: Any,
    axes: Any,
    scale: Any,
    units: Any,
    multiscale_scale: Any = None,
) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    transformations = [{"type": "scale", "scale": list(scale)}]
    kinds = {"t": "time", "c": "channel"}
    multiscale: dict[str, Any] = {
        "axes": [
            {"name": a, "type": kinds.get(a, "space")} | ({"unit": u} if u else {})
            for a, u in zip(axes, units, strict=True)
        ],
        "datasets": [
            {"path": "full", "coordinateTransformations": transformations},
            {"path": "half", "coordinateTransformations": transformations},
        ],
    }
    if multiscale_scale:
        multiscale["coordinateTransformations"] = [{"type": "scale", "scale": multiscale_scale}]
    if version == "0.4":
        attributes: dict[str, Any] = {"multiscales": [multiscale | {"version": "0.4"}]}
    else:
        attributes = {"ome": {"version": "0.5", "multiscales": [multiscale]}}
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3, attributes=attributes)
    group.create_array("full", data=data, chunks=(1,) * (data.ndim - 2) + data.shape[-2:])
    group.create_array("half", data=data[..., ::2, ::2])


def write_every_kind(folder: Path) -> None:
    write_imagej(folder / "imagej.tif", STACK, axes="ZYX", unit="um", spacing=0.5)
    tifffile.imwrite(folder / "stack.ome.tif", STACK, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "one.ome.tif", STACK[0], metadata={"axes": "YX"})
    tifffile.imwrite(folder / "zip.ome.tif", STACK, metadata={"axes": "ZYX"}, compression="zlib")
    tifffile.imwrite(folder / "plain.tif", STACK, photometric="minisblack", metadata=None)
    tifffile.imwrite(
        folder / "zip.tif", STACK, photometric="minisblack", metadata=None, compression="zlib"
    )
    tifffile.imwrite(folder / "rgb.tif", np.stack([STACK] * 3, axis=-1), photometric="rgb")
    Image.fromarray(STACK[0]).save(folder / "plane.png")
    Image.fromarray(STACK[0]).save(folder / "pillow.tif")
