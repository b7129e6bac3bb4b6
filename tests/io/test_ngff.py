"""What OME-Zarr says of its axes, sizes, positions and channels, however it is spelt."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_deepz.images import ImageFileError
from napari_deepz.io.ngff import FullResolution, full_resolution
from napari_deepz.io.reading import read_image
from tests.io.notes import noted
from tests.io.samples import STACK

UM = "micrometer"
SPACE = [{"name": axis, "type": "space", "unit": UM} for axis in "zyx"]
SCALE = {"type": "scale", "scale": [0.5, 0.2, 0.2]}


def write(path: Path, data: Any, multiscale: Any, version: str = "0.5", **ome: Any) -> Path:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    level = {"path": "0"} | multiscale.pop("level", {})
    attributes = {"multiscales": [multiscale | {"datasets": [level], "version": version}]} | ome
    if version == "0.5":
        attributes = {"ome": attributes | {"version": "0.5"}}
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2, attributes=attributes)
    group.create_array("0", data=data, chunks=(1,) * (data.ndim - 2) + data.shape[-2:])
    return path


def described(
    *transformations: Any, of_image: Iterable[Any] = (), axes: Any = SPACE
) -> FullResolution:
    multiscale = {
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": list(transformations)}],
        "coordinateTransformations": list(of_image),
    }
    return full_resolution({"multiscales": [multiscale]}, "a.zarr")


def translation(*values: Any) -> dict[str, Any]:
    return {"type": "translation", "translation": list(values)}


def scale(*values: Any) -> dict[str, Any]:
    return {"type": "scale", "scale": list(values)}


def test_what_the_writer_writes_comes_back(tmp_path: Path) -> None:
    data = np.ones((2, 3, 40, 48), np.uint16) * np.arange(1, 4)[:, None, None].astype(np.uint16)
    axes = [{"name": "c", "type": "channel"}, *SPACE]
    write(
        tmp_path / "a.zarr",
        data,
        {"axes": axes, "level": {"coordinateTransformations": [scale(1, 0.5, 0.2, 0.2),
                                                               translation(0, -3, 10, 20)]}},
        omero={"channels": [{"label": "DAPI"}, {"label": "GFP"}]},
    )  # fmt: skip
    series = read_image(tmp_path / "a.zarr")
    assert (series.pixel_size_um, series.z_step_um, series.z_start_um) == (0.2, 0.5, -3)
    assert series.origin_um == (10, 20)
    assert series.channel_names == ("DAPI", "GFP")
    np.testing.assert_array_equal(series.plane(c=1, z=2), data[1, 2])


@pytest.mark.parametrize(
    ("axes", "letters"),
    [
        ([{"name": n} for n in "TCZYX"], "TCZYX"),
        ([{"name": n} for n in ("Time", "CHANNEL", "Z", "Y", "X")], "TCZYX"),
        ([{"name": n} for n in ("timepoints", "ch", "z", "y", "x")], "TCZYX"),
        ([{"name": n} for n in ("Frame", "Channels", "slice", "row", "col")], "TCZYX"),
        (["t", "c", "z", "y", "x"], "TCZYX"),
        ([{"name": " z "}, {"name": "Rows"}, {"name": "COLUMNS"}], "ZYX"),
        (
            [
                {"name": "tau", "type": "time"},
                {"name": "lambda", "type": "channel"},
                {"name": "axial", "type": "space"},
                {"name": "v", "type": "space"},
                {"name": "h", "type": "space"},
            ],
            "TCZYX",
        ),
        ([{"name": "v", "type": "space"}, {"name": "h", "type": "space"}], "YX"),
        ([{"name": "axial", "type": "space"}, {"name": "y"}, {"name": "x"}], "ZYX"),
        ([{"type": "space"}, {"type": "space"}, {"type": "channel"}], "YXC"),
        ([{"name": "angle"}, {"name": "y"}, {"name": "x"}], "?YX"),
        ([{"name": "frame", "type": "space"}, {"name": "y"}, {"name": "x"}], "ZYX"),
    ],
)
def test_axes_by_name_and_type(axes: list[dict[str, Any]] | list[str], letters: str) -> None:
    assert described(axes=axes).axes == letters


@pytest.mark.parametrize("version", ["0.1", "0.3", "0.4", "0.5"])
def test_every_version(tmp_path: Path, version: str) -> None:
    data = np.arange(2 * 3 * 4 * 8 * 9, dtype=np.uint16).reshape(2, 3, 4, 8, 9) + 1
    axes = [{"name": axis} for axis in "tczyx"]
    multiscale = {"0.1": {}, "0.3": {"axes": list("tczyx")}}.get(version, {"axes": axes})
    series = read_image(write(tmp_path / "a.zarr", data, multiscale, version))
    assert series.axes == "TCZYX"
    assert (series.pixel_size_um, series.z_step_um, series.z_start_um) == (None, None, None)
    np.testing.assert_array_equal(series.plane(t=1, c=2, z=3), data[1, 2, 3])


def test_an_image_of_a_newer_version_says_so(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", STACK, {"coordinateSystems": [], "axes": ["z", "y", "x"]})
    with pytest.raises(ImageFileError, match=r"'a.zarr' is of a newer version of OME-Zarr"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("of_level", "of_image", "steps", "starts"),
    [
        ([scale(0.5, 0.2, 0.2)], [], (0.5, 0.2), None),
        ([scale(0.5, 0.2, 0.2), translation(-3, 1, 2)], [], (0.5, 0.2), (-3, 1, 2)),
        # A position that is followed by a scale is scaled with the rest.
        ([translation(4, 6, 8), scale(0.5, 0.2, 0.2)], [], (0.5, 0.2), (2, 1.2, 1.6)),
        (
            [scale(1, 2, 2), translation(1, 10, 20)],
            [scale(0.5, 0.1, 0.1), translation(100, 0, -1)],
            (0.5, 0.2),
            (100.5, 1, 1),
        ),
        ([{"type": "identity"}, scale(0.5, 0.2, 0.2)], [{"type": "identity"}], (0.5, 0.2), None),
        ([translation(1, 2, 3)], [], (None, None), (1, 2, 3)),
        ([scale(0.5, 0.2, 0.2)], [translation(0, 0, 0)], (0.5, 0.2), (0, 0, 0)),
    ],
)
def test_transformations_apply_in_their_order(
    of_level: list[dict[str, Any]],
    of_image: list[Any] | list[dict[str, Any]],
    steps: Any,
    starts: tuple[float, ...] | None,
) -> None:
    about = described(*of_level, of_image=of_image)
    assert (about.z_step_um, about.pixel_um[0]) == pytest.approx(steps)
    assert about.pixel_um[0] == about.pixel_um[1]
    if starts is None:
        assert (about.z_start_um, about.origin_um) == (None, None)
    else:
        assert about.origin_um is not None
        assert (about.z_start_um, *about.origin_um) == pytest.approx(starts)


def test_positions_are_in_micrometres_whatever_the_unit() -> None:
    axes = [
        {"name": "z", "type": "space", "unit": "millimeter"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "nanometer"},
    ]
    about = described(scale(5e-4, 200, 200), translation(-0.01, 1000, -500), axes=axes)
    assert (about.z_step_um, about.z_start_um) == pytest.approx((0.5, -10))
    assert about.origin_um == pytest.approx((1, -0.5))


def test_without_a_unit_a_position_is_unknown() -> None:
    axes = [{"name": axis, "type": "space"} for axis in "zyx"]
    about = described(scale(2, 3, 3), translation(1, 1, 1), axes=axes)
    assert (about.z_start_um, about.origin_um, about.z_step_um) == (None, None, None)


@pytest.mark.parametrize(
    "transformation",
    [
        {"type": "scale", "path": "scales/0"},
        {"type": "affine", "affine": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]},
        {"type": "scale", "scale": [0.5, 0.2]},
        {"type": "scale", "scale": [0.5, "0.2", 0.2]},
        {"type": "translation", "translation": [0, float("nan"), 0]},
        {"type": "scale", "scale": 0.5},
        {"type": "scale", "scale": [True, 0.2, 0.2]},
    ],
)
def test_transformations_that_cannot_be_used_are_said(transformation: dict[str, Any]) -> None:
    with noted(r"The sizes of 'a.zarr' are stored in a form that"):
        about = described(SCALE, transformation)
    assert (about.pixel_um, about.z_step_um, about.z_start_um) == ((None, None), None, None)


@pytest.mark.parametrize(
    ("omero", "names"),
    [
        ({"channels": [{"label": "DAPI"}, {"label": "GFP"}]}, ("DAPI", "GFP")),
        ({"channels": [{"label": "DAPI"}, {}]}, ("DAPI", "")),
        ({"channels": [{"label": "DAPI"}, {"label": 488}]}, ("DAPI", "")),
        ({"channels": [{"label": "a\x1b[31m\u202eb\nc"}, "x"]}, ("a?[31m?b c", "")),
        ({"channels": [{}, {}]}, ()),
        ({"channels": [{"label": "only one"}]}, ()),
        ({"channels": "DAPI"}, ()),
        ("DAPI", ()),
    ],
)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_names_of_channels(
    tmp_path: Path, omero: dict[str, Any] | str, names: Any, version: str
) -> None:
    axes = [{"name": axis} for axis in "cyx"]
    path = write(tmp_path / "a.zarr", STACK[:2], {"axes": axes}, version, omero=omero)
    assert read_image(path).channel_names == names


def test_several_multiscales_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", STACK, {"axes": SPACE})
    about = json.loads((path / "zarr.json").read_text())
    about["attributes"]["ome"]["multiscales"] *= 2
    (path / "zarr.json").write_text(json.dumps(about))
    with noted(r"'a.zarr' holds several images"):
        np.testing.assert_array_equal(read_image(path).stack(), STACK)
