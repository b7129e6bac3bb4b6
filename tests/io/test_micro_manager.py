"""Image stack files and NDTiff: what lies in the opened file, as it lies in a folder of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image
from tests.io.micro_manager_files import summary, write_mmstack, write_ndtiff
from tests.io.notes import noted
from tests.io.ome_sets import Image, Part, ome_xml

RNG = np.random.default_rng(12)
C, Z = 2, 3
PIXELS = RNG.integers(0, 4000, (2, 4, C, Z, 40, 48)).astype(np.uint16)  # (position, T, C, Z, ...)
ORDER = [(c, z, 0) for z in range(Z) for c in range(C)]
NAMES = [f"worms_1_MMStack_Pos{p}.ome.tif" for p in range(2)]


def planes_of(position: Any, order: Any = ORDER) -> Any:
    return {(c, z, t, position): PIXELS[position, t, c, z] for c, z, t in order}


def described(names: Any = NAMES, order: Any = ORDER, z: Any = Z) -> list[Image]:
    """Micro-Manager lists the images of all positions in each file."""
    return [
        Image(
            [
                Part(name, f"urn:uuid:{p}", page=page, first={"C": c, "Z": z, "T": t})
                for page, (c, z, t) in enumerate(order)
            ],
            {"C": C, "Z": z},
            0.325 * (p + 1),
            z_um=0.5,
            channels=["DAPI", "GFP"],
        )
        for p, name in enumerate(names)
    ]


def write_positions(folder: Path) -> None:
    for p, name in enumerate(NAMES):
        xml = ome_xml(described(), f"urn:uuid:{p}")
        write_mmstack(folder / name, planes_of(p), summary(C, Z, positions=2), xml)


@pytest.mark.parametrize("p", [0, 1])
def test_each_file_is_its_position_where_it_was_written(tmp_path: Path, p: int) -> None:
    write_positions(tmp_path)
    series = read_image(tmp_path / NAMES[p])
    assert series.axes == "CZYX"
    np.testing.assert_array_equal(series.data, PIXELS[p, 0])
    assert series.pixel_size_um == pytest.approx(0.325 * (p + 1))
    assert (series.z_step_um, series.channel_names) == (0.5, ("DAPI", "GFP"))


def test_a_file_in_a_folder_of_its_own(tmp_path: Path) -> None:
    write_positions(tmp_path)
    (tmp_path / NAMES[0]).unlink()
    (tmp_path / NAMES[1]).rename(tmp_path / "worm.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "worm.tif").data, PIXELS[1, 0])


def test_several_positions_in_one_file(tmp_path: Path) -> None:
    name = "worms_1_MMStack.ome.tif"
    planes = planes_of(0) | planes_of(1)
    write_mmstack(tmp_path / name, planes, summary(C, Z, positions=2))
    with noted(f"'{name}' holds 2 images of which only the first"):
        series = read_image(tmp_path / name)
    np.testing.assert_array_equal(series.data, PIXELS[0, 0])


@pytest.mark.parametrize("opened", [0, 1, 2])
def test_an_acquisition_that_goes_on_in_further_files(tmp_path: Path, opened: int) -> None:
    names = [NAMES[0], *(NAMES[0].replace("Pos0", f"Pos0_{n}") for n in (1, 2))]
    order = [(c, z, t) for t in range(4) for z in range(Z) for c in range(C)]
    about = summary(C, Z, frames=4, positions=2)
    for name, part in zip(names, (order[:10], order[10:20], order[20:]), strict=True):
        write_mmstack(tmp_path / name, planes_of(0, part), about)
    write_mmstack(tmp_path / NAMES[1], planes_of(1, order), about)
    series = read_image(tmp_path / names[opened])
    assert series.axes == "TCZYX"
    np.testing.assert_array_equal(series.data, PIXELS[0])


def test_files_of_another_acquisition_of_that_name_do_not_belong(tmp_path: Path) -> None:
    order = [(c, z, t) for t in range(4) for z in range(Z) for c in range(C)]
    write_mmstack(tmp_path / NAMES[0], planes_of(0, order[:12]), summary(C, Z, frames=4))
    others = summary(C, Z, frames=4) | {"Prefix": "others"}
    other_name = NAMES[0].replace("Pos0", "Pos0_1")
    write_mmstack(tmp_path / other_name, planes_of(0, order[12:]), others)
    with noted(f"12 of 24 planes of '{NAMES[0]}' are missing"):
        series = read_image(tmp_path / NAMES[0])
    np.testing.assert_array_equal(series.data, PIXELS[0, :2])


def test_a_z_stack_in_one_channel_only(tmp_path: Path) -> None:
    order = [(0, 0, 0), (0, 1, 0), (1, 1, 0), (0, 2, 0)]
    xml = ome_xml(described(NAMES[:1], order), "urn:uuid:0")
    write_mmstack(tmp_path / NAMES[0], planes_of(0, order), summary(C, Z), xml)
    with noted(f"2 of 6 planes of '{NAMES[0]}' are missing"):
        series = read_image(tmp_path / NAMES[0])
    np.testing.assert_array_equal(series.stack(c=0), PIXELS[0, 0, 0])
    np.testing.assert_array_equal(series.plane(c=1, z=1), PIXELS[0, 0, 1, 1])
    asks: list[Callable[[], Any]] = [lambda: series.plane(c=1, z=0), lambda: series.stack(c=1)]
    for ask in asks:
        with pytest.raises(
            ValueError, match=r"of the wanted planes of 'worms_1.* were never taken"
        ):
            ask()
    assert not np.asarray(series.data[1, 0]).any()


@pytest.mark.parametrize(
    ("kept", "shape", "missing"), [(5, (C, Z), 1), (4, (C, 2), 2), (1, (), 5), (3, (C, 2), 3)]
)
def test_an_acquisition_that_was_stopped(
    tmp_path: Path, kept: int, shape: Any, missing: int
) -> None:
    order = ORDER[:kept]
    write_mmstack(tmp_path / NAMES[0], planes_of(0, order), summary(C, Z))
    with noted(f"{missing} of 6 planes of '{NAMES[0]}' are missing"):
        series = read_image(tmp_path / NAMES[0])
    assert series.data.shape[:-2] == shape
    for c, z, _ in order:
        plane = series.plane(c=c if shape else 0, z=z if shape else 0)
        np.testing.assert_array_equal(plane, PIXELS[0, 0, c, z])


def test_a_movie_of_a_million_frames_that_was_stopped_after_three(tmp_path: Path) -> None:
    order = [(0, 0, t) for t in range(3)]
    write_mmstack(tmp_path / NAMES[0], planes_of(0, order), summary(1, 1, frames=10**6))
    with noted("999997 of 1000000 planes"):
        series = read_image(tmp_path / NAMES[0])
    assert series.axes == "TYX"
    np.testing.assert_array_equal(series.data, PIXELS[0, :3, 0, 0])


def test_an_image_stack_file_that_was_cut(tmp_path: Path) -> None:
    write_positions(tmp_path)
    path = tmp_path / NAMES[0]
    content = path.read_bytes()
    for kept in (0.3, 0.6, 0.9):
        path.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(ImageFileError, match=r"is damaged or was cut short"):
            read_image(path)


FILE = "NDTiffStack.tif"


def ndtiff_planes(*axes: Any, file: Any = FILE) -> list[Any]:
    """Planes along any of z, channel, time, position, written in the order of the axes."""
    values = {
        "z": range(Z),
        "channel": ["DAPI", "GFP"],
        "time": range(4),
        "position": range(2),
    }
    written = []
    for index in np.ndindex(*(len(values[axis]) for axis in axes)):
        at = dict(zip(axes, index, strict=True))
        place = at.get("position", 0), at.get("time", 0), at.get("channel", 0), at.get("z", 0)
        given = {axis: values[axis][number] for axis, number in at.items()}
        written.append((given, file, PIXELS[place]))
    return written


@pytest.mark.parametrize(
    ("axes", "expected_axes", "expected"),
    [
        (["z"], "ZYX", PIXELS[0, 0, 0]),
        (["z", "channel"], "CZYX", PIXELS[0, 0]),
        (["channel", "z"], "CZYX", PIXELS[0, 0]),
        (["z", "time", "channel"], "TCZYX", PIXELS[0]),
        (["time"], "TYX", PIXELS[0, :, 0, 0]),
        ([], "YX", PIXELS[0, 0, 0, 0]),
    ],
)
def test_ndtiff_axes(
    tmp_path: Path, axes: list[str] | list[Any], expected_axes: str, expected: Any
) -> None:
    write_ndtiff(tmp_path / "data", ndtiff_planes(*axes))
    series = read_image(tmp_path / "data" / FILE)
    assert series.axes == expected_axes
    np.testing.assert_array_equal(series.data, expected)
    assert series.channel_names == (("DAPI", "GFP") if "channel" in axes else ())
    assert series.pixel_size_um == pytest.approx(0.325, rel=1e-3)


def test_ndtiff_z_may_be_negative_and_taken_in_any_order(tmp_path: Path) -> None:
    planes = [({"z": z}, FILE, PIXELS[0, 0, 0, n]) for n, z in ((1, 5), (0, -5), (2, 15))]
    write_ndtiff(tmp_path / "data", planes)
    np.testing.assert_array_equal(read_image(tmp_path / "data" / FILE).data, PIXELS[0, 0, 0])


def test_ndtiff_in_several_files(tmp_path: Path) -> None:
    planes = ndtiff_planes("time", "z", "channel")
    files = [FILE, "NDTiffStack_1.tif"]
    planes = [(at, files[n >= 10], pixels) for n, (at, _, pixels) in enumerate(planes)]
    write_ndtiff(tmp_path / "data", planes)
    for file in files:
        np.testing.assert_array_equal(read_image(tmp_path / "data" / file).data, PIXELS[0])
    (tmp_path / "data" / files[1]).unlink()
    sentence = f"14 of 24 planes of '{FILE}' are missing: put 'NDTiffStack_1.tif' into"
    with pytest.raises(ImageFileError, match=sentence):
        read_image(tmp_path / "data" / FILE)


def test_ndtiff_with_several_positions_in_one_file(tmp_path: Path) -> None:
    write_ndtiff(tmp_path / "data", ndtiff_planes("position", "z"))
    with noted(f"'{FILE}' holds 2 images of which only the first"):
        series = read_image(tmp_path / "data" / FILE)
    np.testing.assert_array_equal(series.data, PIXELS[0, 0, 0])


@pytest.mark.parametrize("p", [0, 1])
def test_ndtiff_with_a_position_in_each_file(tmp_path: Path, p: int) -> None:
    files = [FILE, "NDTiffStack_1.tif"]
    planes = [
        (at, files[at["position"]], pixels) for at, _, pixels in ndtiff_planes("position", "z")
    ]
    write_ndtiff(tmp_path / "data", planes)
    np.testing.assert_array_equal(read_image(tmp_path / "data" / files[p]).data, PIXELS[p, 0, 0])


def test_ndtiff_with_a_z_stack_in_one_channel_only(tmp_path: Path) -> None:
    planes = [
        p for p in ndtiff_planes("z", "channel") if p[0]["channel"] == "DAPI" or p[0]["z"] == 1
    ]
    write_ndtiff(tmp_path / "data", planes)
    with noted(f"2 of 6 planes of '{FILE}' are missing"):
        series = read_image(tmp_path / "data" / FILE)
    np.testing.assert_array_equal(series.stack(c=0), PIXELS[0, 0, 0])
    np.testing.assert_array_equal(series.plane(c=1, z=1), PIXELS[0, 0, 1, 1])
    with pytest.raises(ValueError, match="were never taken"):
        series.plane(c=1, z=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ndtiff_kinds_of_pixels(tmp_path: Path, dtype: Any) -> None:
    planes = [({"z": z}, FILE, PIXELS[0, 0, 0, z].astype(dtype)) for z in range(Z)]
    write_ndtiff(tmp_path / "data", planes)
    np.testing.assert_array_equal(
        read_image(tmp_path / "data" / FILE).data, PIXELS[0, 0, 0].astype(dtype)
    )


def test_ndtiff_of_a_colour_camera_that_saw_grey(tmp_path: Path) -> None:
    grey = PIXELS[0, 0, 0].astype(np.uint8)
    planes = [({"z": z}, FILE, np.stack([grey[z]] * 3, axis=-1)) for z in range(Z)]
    write_ndtiff(tmp_path / "data", planes)
    np.testing.assert_array_equal(read_image(tmp_path / "data" / FILE).data, grey)


def test_an_ndtiff_index_that_is_still_being_written_ends_with_zeros(tmp_path: Path) -> None:
    write_ndtiff(tmp_path / "data", ndtiff_planes("z"), end=b"\0" * 64)
    np.testing.assert_array_equal(read_image(tmp_path / "data" / FILE).data, PIXELS[0, 0, 0])


def test_an_ndtiff_index_that_was_cut_does_not_lose_planes(tmp_path: Path) -> None:
    write_ndtiff(tmp_path / "data", ndtiff_planes("z"))
    index = tmp_path / "data/NDTiff.index"
    index.write_bytes(index.read_bytes()[:-10])
    with pytest.raises(ImageFileError, match=r"'NDTiff.index', which says .*, is damaged"):
        read_image(tmp_path / "data" / FILE)


def test_an_ndtiff_file_that_was_cut_or_renamed(tmp_path: Path) -> None:
    write_ndtiff(tmp_path / "data", ndtiff_planes("z"))
    path = tmp_path / "data" / FILE
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ImageFileError, match=r"'NDTiffStack.tif' is damaged or was cut short"):
        read_image(path)
    path.write_bytes(content)
    path.rename(path.with_name("worm.tif"))
    with pytest.raises(ImageFileError, match=r"'NDTiff.index' beside 'worm.tif' does not list it"):
        read_image(path.with_name("worm.tif"))


def test_names_in_an_index_are_made_printable(tmp_path: Path) -> None:
    planes = [({"z": z}, (FILE, "b\n\x1b[31m.tif")[z], PIXELS[0, 0, 0, z]) for z in range(2)]
    write_ndtiff(tmp_path / "data", planes)
    (tmp_path / "data" / planes[1][1]).unlink()
    with pytest.raises(ImageFileError, match=r"are missing: put 'b\?\?\[31m.tif' into the same"):
        read_image(tmp_path / "data" / FILE)


def test_ndtiff_without_its_index_is_said(tmp_path: Path) -> None:
    write_ndtiff(tmp_path / "data", ndtiff_planes("z"))
    (tmp_path / "data/NDTiff.index").unlink()
    with noted(r"'NDTiff.index', .*, is not beside 'NDTiffStack"):
        series = read_image(tmp_path / "data" / FILE)
    np.testing.assert_array_equal(series.data, PIXELS[0, 0, 0])


def test_ndtiff_places_that_no_file_could_fill(tmp_path: Path) -> None:
    places = [{"z": n * 10**6, "time": n * 10**6, "channel": n} for n in range(60)]
    write_ndtiff(tmp_path / "data", [(at, FILE, PIXELS[0, 0, 0, 0]) for at in places])
    with pytest.raises(ImageFileError, match=r"215940 of 216000 planes of 'NDTiffStack.tif'"):
        read_image(tmp_path / "data" / FILE)
