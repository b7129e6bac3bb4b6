"""Files opened in a viewer whose record, sizes or planes are not as they should be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_deepz import Flat, refocus
from napari_deepz.io.writing import write_stack
from napari_deepz.models.package import Model
from napari_deepz.provenance import Provenance
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from tests.io.micro_manager_files import summary, write_mmstack
from tests.widgets.conftest import run, set_range, told, wait_idle


def test_a_damaged_record_does_not_keep_the_image_closed(
    make_viewer: Callable[[], Any],
    tmp_path: Path,
    rng: np.random.Generator,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    path = tmp_path / "virtual.ome.tif"
    planes = rng.normal(100, 20, (3, 40, 40)).astype(np.float32)
    write_stack(
        path,
        iter(planes),
        count=3,
        shape=(40, 40),
        pixel_size_um=0.325,
        z_step_um=1,
        z_start_um=-3,
        name="virtual",
        provenance=Provenance(kind="inferred", axial_range_um=(-3, -1)),
    )
    content = path.read_bytes()
    path.write_bytes(content.replace(b'inferred", ', b'invented", ', 1))
    assert path.read_bytes() != content
    (layer,) = make_viewer().open(path, plugin="napari-deepz")
    assert told(notified, r"'virtual.ome.tif': The record of how .* damaged")
    np.testing.assert_array_equal(layer.data, planes)
    np.testing.assert_allclose(layer.scale, (1, 0.325, 0.325))
    assert "provenance" not in layer.metadata


def test_the_pixel_size_of_oblong_pixels_is_typed(
    open_dock: Callable[..., VirtualRefocusing],
    model: Model,
    tmp_path: Path,
    pixels: np.ndarray,
    qtbot: Any,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    sizes = {"PhysicalSizeX": 0.325, "PhysicalSizeY": 1.0}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": "YX", **sizes})
    dock = open_dock()
    dock.viewer.open(tmp_path / "a.ome.tif", plugin="napari-deepz")
    assert told(notified, r"'a.ome.tif' are stored as 0.325 µm wide but 1 µm")
    set_range(dock, -2, 2, 1)
    dock.review()
    assert "does not say its pixel size" in dock.trust.cautions.text()
    dock.image.sizes.pixel_size.value = 0.4
    layer = run(dock, qtbot)
    expected = refocus(pixels, Flat(-2, 2, 1), model, pixel_size_um=0.4)
    np.testing.assert_array_equal(layer.data, expected.data)


def test_channels_have_their_names_and_planes_never_taken_are_black(
    make_viewer: Callable[[], Any],
    tmp_path: Path,
    rng: np.random.Generator,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    pixels = rng.integers(1, 4000, (2, 3, 40, 48)).astype(np.uint16)
    planes = {(c, z, 0, 0): pixels[c, z] for c, z in ((0, 0), (0, 1), (1, 1), (0, 2))}
    path = tmp_path / "a_MMStack_Pos0.tif"
    write_mmstack(path, planes, summary(2, 3))
    first, second = make_viewer().open(path, plugin="napari-deepz")
    assert told(notified, "2 of 6 planes of 'a_MMStack_Pos0.tif' are missing")
    np.testing.assert_array_equal(first.data, pixels[0])
    np.testing.assert_array_equal(second.data[1], pixels[1, 1])
    assert not np.asarray(second.data[0]).any()

    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "b.ome.tif", pixels[:, 0], metadata=metadata)
    layers = make_viewer().open(tmp_path / "b.ome.tif", plugin="napari-deepz")
    assert [layer.name for layer in layers] == ["b, DAPI", "b, GFP"]


@pytest.mark.window
def test_a_file_that_is_cut_while_it_is_open(
    open_dock: Callable[..., VirtualRefocusing],
    tmp_path: Path,
    pixels: np.ndarray,
    qtbot: Any,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    dock = open_dock()
    stack = np.stack([pixels] * 3)
    sizes = {"PhysicalSizeX": 0.325, "PhysicalSizeY": 0.325, "PhysicalSizeZ": 1.0}
    tifffile.imwrite(tmp_path / "a.tif", stack, ome=True, metadata={"axes": "ZYX", **sizes})
    dock.viewer.open(tmp_path / "a.tif", plugin="napari-deepz")
    dock.review()
    os.truncate(tmp_path / "a.tif", 5000)
    before = list(dock.viewer.layers)
    with qtbot.captureExceptions() as drawing:
        dock.panel.refocus.click()
        wait_idle(dock, qtbot)
    changed = "'a.tif' was changed after it was opened: open it again."
    assert changed in [text for _, text in notified()]
    assert {str(error) for _, error, _ in drawing} <= {changed}
    assert list(dock.viewer.layers) == before
