"""Names from files, layers and file systems, whatever is in them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import ome_types
import pytest
import tifffile

from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.names import plain_name
from napari_deepz.provenance import Provenance
from tests.io.stacks import STACK, write

HOSTILE = {
    'worm "late"': 'worm "late"',
    "it's <b>bold</b> & more": "it's <b>bold</b> & more",
    "Würmer µm 線虫 🪱": "Würmer µm 線虫 🪱",
    "bell\x07 escape\x1b[31m nul\x00 del\x7f csi\x9b": "bell? escape?[31m nul? del? csi?",
    "two\nlines\r\nand\ttabs\u2028end": "two lines and tabs end",
    "lone \udcfc high \ud83d low \ude00": "lone ? high ? low ?",
    "not in XML \ufffe \uffff \ufdd0 \x0b\x0c": "not in XML ? ? ?  ",
    "evil\u202egnp.tif\u2066\u202a": "evil?gnp.tif??",
    "": "",
    "n" * 65_536: "n" * 499 + "…",
}


@pytest.mark.parametrize(("name", "clean"), HOSTILE.items(), ids=range(len(HOSTILE)))
def test_names_are_cleaned(name: Any, clean: Any) -> None:
    assert plain_name(name) == clean
    assert plain_name(clean) == clean
    assert clean.encode("utf-8").decode("utf-8") == clean


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_ome_tiff_with_any_name_is_valid_and_keeps_its_record(tmp_path: Path, name: Any) -> None:
    path = tmp_path / "a.ome.tif"
    record = Provenance(
        kind="inferred",
        input_name=name,
        surfaces=[{"kind": "image", "source": name, name: [{"deep": name}]}],
        command=name,
        notes=(name,),
    )
    write(path, name=name, provenance=record)
    with tifffile.TiffFile(path) as tif:
        (image,) = ome_types.from_xml(tif.ome_metadata, validate=True).images
    assert (image.name or "") == (image.pixels.channels[0].name or "") == plain_name(name)
    series = read_image(path)
    assert (series.pixel_size_um, series.z_step_um) == (0.325, 0.5)
    np.testing.assert_array_equal(series.stack(), STACK)
    assert read_provenance(path) == record


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_ome_zarr_with_any_name_is_valid_and_keeps_its_record(tmp_path: Path, name: Any) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    yaozarrs = pytest.importorskip("yaozarrs", reason="reads OME-Zarr independently")
    path = tmp_path / "a.ome.zarr"
    record = Provenance(kind="inferred", surfaces=[{"source": name}], notes=(name,))
    write(path, name=name, provenance=record)
    yaozarrs.validate_zarr_store(path)
    ome = yaozarrs.open_group(path).ome_metadata()
    assert ome.multiscales[0].name == ome.omero.channels[0].label == plain_name(name)
    json.loads((path / "zarr.json").read_bytes().decode("utf-8"))
    series = read_image(path)
    assert series.channel_names == ((plain_name(name),) if name else ())
    np.testing.assert_array_equal(series.stack(), STACK)
    assert read_provenance(path) == record


@pytest.mark.parametrize(
    ("fill", "shown"), [(None, None), (7.0, (7, 7, 7, 8)), (np.nan, (0, 1, 0, 1))]
)
def test_the_range_in_which_a_viewer_shows_a_stack(tmp_path: Path, fill: Any, shown: Any) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    planes = STACK.copy() if fill is None else np.full_like(STACK, fill)
    planes[2, 3, 4], planes[1, 0, 0] = np.nan, np.inf
    write(tmp_path / "a.ome.zarr", planes)
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    window = group.attrs["ome"]["omero"]["channels"][0]["window"]
    if shown is None:
        low, high = np.nanmin(planes), np.max(planes[np.isfinite(planes)])
        shown = (low, high, low, high)
    assert tuple(window[key] for key in ("min", "max", "start", "end")) == shown
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.zarr").stack(), planes)


def test_a_black_stack_is_whole(tmp_path: Path) -> None:
    """Nothing is left out, so that what is missing is noticed."""
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    write(tmp_path / "a.ome.zarr", np.zeros_like(STACK))
    assert read_image(tmp_path / "a.ome.zarr").stack().max() == 0
