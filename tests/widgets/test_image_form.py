"""Which image is the input, and how large its pixels are: followed, pinned, read, typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from napari_deepz import Flat
from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.surface_form import FLAT, LAYER
from napari_deepz.widgets.shared.results import record_of
from tests.widgets.conftest import add_image, run, set_range, told


@pytest.fixture
def calibrated(tmp_path: Path, rng: np.random.Generator) -> Path:
    """An OME-TIFF stack with pixels of 0.0645 µm and planes 0.3 µm apart."""
    path = tmp_path / "worm.ome.tif"
    sizes = {"PhysicalSizeX": 0.0645, "PhysicalSizeY": 0.0645, "PhysicalSizeZ": 0.3}
    pixels = rng.integers(100, 4000, (5, 256, 320), dtype=np.uint16)
    tifffile.imwrite(path, pixels, metadata={"axes": "ZYX", **sizes})
    return path


def opened_by_napari(viewer: Any, path: Path) -> Any:
    """As napari's own reader does it, which loses sizes and axes."""
    (layer,) = viewer.open(path, plugin="napari")
    assert [str(unit) for unit in layer.units] == ["pixel"] * layer.ndim
    return layer


def test_the_image_is_the_selected_layer_until_it_is_pinned(
    dock: VirtualRefocusing, pixels: np.ndarray
) -> None:
    cells = dock.image.layer
    other = add_image(dock, pixels, "other")
    assert dock.image.layer is other
    dock.viewer.layers.selection.active = cells
    assert dock.image.layer is cells
    dock.image.pin.value = True
    dock.viewer.layers.selection.active = other
    assert dock.image.layer is cells


def test_depths_that_are_selected_for_the_surface_are_not_the_image(
    dock: VirtualRefocusing, pixels: np.ndarray
) -> None:
    cells = dock.image.layer
    dock.surface.kind.value = LAYER
    add_image(dock, np.ones(pixels.shape), "depths")
    assert dock.image.layer is cells
    dock.surface.kind.value = FLAT
    dock.viewer.layers.selection.active = cells
    dock.viewer.layers.selection.active = dock.viewer.layers["depths"]
    assert dock.image.layer is dock.viewer.layers["depths"]


def test_a_size_with_which_nothing_can_be_refocused_is_said_and_nothing_runs(
    open_dock: Callable[..., VirtualRefocusing],
    tmp_path: Path,
    rng: np.random.Generator,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    path = tmp_path / "small.ome.tif"
    pixels = rng.integers(100, 4000, (5, 64, 80), dtype=np.uint16)
    sizes = {"PhysicalSizeX": 0.0645, "PhysicalSizeY": 0.0645}
    tifffile.imwrite(path, pixels, metadata={"axes": "ZYX", **sizes})
    dock = open_dock()
    opened_by_napari(dock.viewer, path)
    dock.review()
    dock.refocus()
    assert [text for kind, text in notified() if kind == "error" and "too small" in text]
    assert len(dock.viewer.layers) == 1


def test_a_selected_result_is_not_the_image(dock: VirtualRefocusing, qtbot: Any) -> None:
    cells = dock.image.layer
    result = run(dock, qtbot)
    assert dock.viewer.layers.selection.active is result
    assert dock.image.layer is cells


def test_the_whole_name_can_be_read(dock: VirtualRefocusing, pixels: np.ndarray) -> None:
    """The menu cuts names where they are the same: at the beginning."""
    name = "2026-11-27 day 4 adult unc-119 GCaMP6s worm 17 before the stimulus"
    add_image(dock, pixels, name)
    dock.review()
    assert name in dock.facts.image.text()
    assert name in dock.image.choice.native.toolTip()


def test_sizes_of_the_file_are_read_whoever_opened_it(
    open_dock: Callable[..., VirtualRefocusing], calibrated: Path, qtbot: Any
) -> None:
    dock = open_dock()
    layer = opened_by_napari(dock.viewer, calibrated)
    dock.viewer.dims.set_point(0, 3)
    dock.review()
    np.testing.assert_allclose(layer.scale, (0.3, 0.0645, 0.0645))
    assert not dock.image.sizes.widget.isVisibleTo(dock)
    assert "pixel size" not in dock.trust.cautions.text()
    set_range(dock, -1, 1, 1)
    result = run(dock, qtbot)
    # The plane that was shown is refocused, though the stack is thinner now.
    assert record_of(result).request.plane.position == "z 3"
    assert dock.viewer.dims.point[0] == pytest.approx(0.9)
    assert layer.axis_labels == ("z", "y", "x")
    record = record_of(result)
    assert record is not None
    assert record.request.sampling.pixel_size_um == 0.0645
    assert not any("pixel size" in note for note in record.provenance.notes)


def test_a_stack_that_says_its_pixels_gets_its_z_step_from_its_file(
    open_dock: Callable[..., VirtualRefocusing], calibrated: Path
) -> None:
    dock = open_dock()
    layer = opened_by_napari(dock.viewer, calibrated)
    layer.scale, layer.units = (1, 0.07, 0.07), ("pixel", "um", "um")
    dock.review()
    np.testing.assert_allclose(layer.scale, (0.3, 0.07, 0.07))
    assert str(layer.units[0]) == "micrometer"
    assert not dock.image.sizes.widget.isVisibleTo(dock)


def test_a_typed_size_is_used_at_once(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any
) -> None:
    dock = open_dock()
    image = dock.viewer.add_image(pixels, name="bare")
    dock.review()
    dock.image.sizes.pixel_size.value = 0.2
    np.testing.assert_allclose(image.scale, (0.2, 0.2))
    dock.workbench.live_switch.value = True
    qtbot.waitUntil(lambda: "exact" in dock.workbench.message.text(), timeout=20_000)
    dock.image.sizes.pixel_size.value = 0.25
    np.testing.assert_allclose(image.scale, (0.25, 0.25))
    set_range(dock, -1, 1, 1)
    result = run(dock, qtbot)
    np.testing.assert_allclose(result.scale[1:], (0.25, 0.25))
    notes = record_of(result).provenance.notes
    assert "The image does not say its pixel size; 0.25 µm is taken, as entered." in notes
    dock.workbench.live_switch.value = False


def test_enter_takes_the_size_that_is_suggested(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any
) -> None:
    """It need not be another one than is there."""
    dock = open_dock()
    image = dock.viewer.add_image(pixels, name="bare")
    dock.review()
    qtbot.keyClick(dock.image.sizes.pixel_size.native, Qt.Key_Return)
    np.testing.assert_allclose(image.scale, (0.325, 0.325))


def test_a_size_that_is_typed_key_by_key_is_taken_when_it_is_complete(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, qtbot: Any
) -> None:
    dock = open_dock()
    image = dock.viewer.add_image(pixels, name="bare")
    dock.review()
    box = dock.image.sizes.pixel_size.native
    box.selectAll()
    qtbot.keyClicks(box, "0.12")
    np.testing.assert_array_equal(image.scale, (1, 1))
    box.clearFocus()
    box.editingFinished.emit()
    box.interpretText()
    np.testing.assert_allclose(image.scale, (0.12, 0.12))


def test_a_stack_without_units_is_asked_for_its_step(
    open_dock: Callable[..., VirtualRefocusing], rng: np.random.Generator
) -> None:
    dock = open_dock()
    stack = dock.viewer.add_image(rng.integers(0, 99, (5, 64, 80)), name="bare")
    dock.viewer.dims.set_point(0, 2)
    dock.image.sizes.pixel_size.value = 0.2
    dock.review()
    assert dock.image.sizes.z_step.native.isVisibleTo(dock)
    assert "how far apart its planes are" in dock.trust.cautions.text()
    dock.image.sizes.z_step.value = 0.5
    dock.review()
    np.testing.assert_allclose(stack.scale, (0.5, 0.2, 0.2))
    assert [str(unit) for unit in stack.units] == ["micrometer"] * 3
    assert not dock.image.sizes.z_step.native.isVisibleTo(dock)
    assert "how far apart" not in dock.trust.cautions.text()
    # The input plane, which is shown, has stayed where it was.
    assert dock.image.axes.boxes[0].value == 2


def test_a_stack_is_still_seen_when_it_has_been_given_its_step(
    open_dock: Callable[..., VirtualRefocusing], rng: np.random.Generator
) -> None:
    dock = open_dock()
    stack = dock.viewer.add_image(rng.integers(100, 999, (5, 64, 80)), name="bare")
    dock.viewer.dims.set_point(0, 2)
    dock.review()
    dock.image.sizes.z_step.value = 1.0  # The sliders need not move.
    np.testing.assert_array_equal(stack._slice.image.raw, stack.data[2])


@pytest.mark.parametrize("reader", ["napari", "napari-deepz"])
def test_a_saved_result_is_no_measured_image_however_it_is_opened(
    open_dock: Callable[..., VirtualRefocusing],
    tmp_path: Path,
    rng: np.random.Generator,
    reader: str,
) -> None:
    path = tmp_path / "virtual.ome.tif"
    write_stack(
        path,
        iter(rng.normal(100, 20, (3, 40, 40)).astype(np.float32)),
        count=3,
        shape=(40, 40),
        pixel_size_um=0.325,
        z_step_um=1,
        z_start_um=-1,
        name="virtual",
        provenance=Provenance(
            kind="inferred", surfaces=[Flat(-1, 1, 1).model_dump(mode="json")], model_name="tiny"
        ),
    )
    dock = open_dock()
    dock.viewer.open(path, plugin=reader)
    dock.review()
    assert dock.image.layer is None
    assert "made by a network" in dock.facts.image.text()


def test_a_file_that_went_away_is_no_reason_to_fail(
    open_dock: Callable[..., VirtualRefocusing],
    calibrated: Path,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    dock = open_dock()
    viewer = dock.viewer
    layer = opened_by_napari(viewer, calibrated)
    viewer.layers.clear()
    calibrated.unlink()
    viewer.layers.append(layer)
    dock.review()
    assert dock.image.layer is layer
    assert not told(notified, ".")


def test_a_stack_that_lies_elsewhere_is_shown_when_it_is_chosen(
    open_dock: Callable[..., VirtualRefocusing], rng: np.random.Generator
) -> None:
    """Otherwise the canvas is black, and the input a plane that nobody sees."""
    dock = open_dock()
    deep = add_image(dock, rng.integers(0, 99, (52, 64, 80)))
    dock.viewer.dims.set_point(0, 40)
    shallow = add_image(dock, rng.integers(0, 99, (9, 64, 80)), "shallow")
    dock.review()
    assert dock.image.layer is shallow
    assert dock.viewer.dims.point[0] == 4
    assert dock.image.axes.boxes[0].value == 4
    dock.viewer.layers.selection.active = deep
    dock.review()
    assert dock.viewer.dims.point[0] == 4
    assert dock.image.axes.boxes[0].value == 4
