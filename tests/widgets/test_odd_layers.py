"""Layers of all kinds come, change and go while both docks are open: napari goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes, Surface, Tracks, Vectors

from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.surface_form import ANCHORS, LAYER
from napari_deepz.widgets.shared.results import results_in
from tests.widgets.conftest import PIXEL_UM, Slowly, add_image, run, set_range, wait_idle

UM = ("um", "um")


@pytest.fixture
def docks(
    open_dock: Callable[..., VirtualRefocusing],
    add_dock: Callable[[Any, str], Any],
    pixels: np.ndarray,
    qtbot: Any,
) -> Iterator[Iterator[Callable[..., VirtualRefocusing]]]:
    """Both docks with everything switched on, and one image."""
    dock = open_dock()
    add_image(dock, pixels)
    add_dock(dock.viewer, "Compare with measured stack")
    dock.workbench.live_switch.value = dock.workbench.mesh_switch.value = True
    set_range(dock, -4, 4, 1)
    dock.review()
    yield dock
    dock.workbench.live_switch.value = False
    qtbot.waitUntil(lambda: dock.workbench.live.is_idle, timeout=20_000)


def plane(**changes: Any) -> Image:
    return Image(np.arange(30 * 40, dtype=np.float32).reshape(30, 40), **changes)


def stack(ndim: Any, **changes: Any) -> Image:
    return Image(np.zeros((2,) * (ndim - 2) + (30, 40), np.float32), **changes)


def leaning() -> Any:
    matrix = np.eye(4)
    matrix[0, 2] = 0.5
    return matrix


ODD = {
    "in mm": lambda: plane(scale=(0.000325,) * 2, units=("mm",) * 2),
    "in m": lambda: plane(scale=(3.25e-7,) * 2, units=("m",) * 2),
    "in nm": lambda: plane(scale=(1300,) * 2, units=("nm",) * 2),
    "in inches": lambda: plane(units=("inch",) * 2),
    "in degrees": lambda: plane(units=("degree",) * 2),
    "in seconds along y": lambda: plane(units=("s", "um")),
    "in pixels along y": lambda: plane(scale=(1, 0.3), units=("pixel", "um")),
    "25400 µm": lambda: plane(scale=(25400,) * 2, units=UM),
    "a scale too small for a pixel": lambda: plane(scale=(0.0005,) * 2),
    "mirrored twice": lambda: plane(scale=(-0.325,) * 2, units=UM),
    "not square": lambda: plane(scale=(0.3, 0.4), units=UM),
    "sheared": lambda: plane(shear=[0.4], scale=(0.3,) * 2, units=UM),
    "registered": lambda: plane(affine=np.diag([2.0, 2, 1]), rotate=20, units=UM),
    "colours": lambda: Image(np.zeros((30, 40, 3), np.uint8), rgb=True),
    "a pyramid": lambda: Image([np.zeros((64, 64)), np.zeros((32, 32))], multiscale=True),
    "3D": lambda: stack(3),
    "3D in mm": lambda: stack(3, units=("mm",) * 3, scale=(0.001, 0.0003, 0.0003)),
    "4D in mixed units": lambda: stack(4, units=("s", "inch", "um", "um")),
    "5D": lambda: stack(5, units=("um",) * 5, scale=(1, 1, 1, 0.325, 0.325)),
    "6D": lambda: stack(6),
    "labels": lambda: Labels(np.zeros((30, 40), int), rotate=30),
    "labels 4D": lambda: Labels(np.zeros((2, 2, 30, 40), int), scale=(1, -1, 0.3, 0.3)),
    "points": lambda: Points(np.zeros((0, 2))),
    "points 4D": lambda: Points(np.ones((3, 4)), units=("s", "mm", "um", "um")),
    "shapes": lambda: Shapes([np.array([(0, 0), (5, 9), (9, 5)])], shape_type="polygon"),
    "vectors": lambda: Vectors(np.ones((2, 2, 3)), affine=np.diag([3.0, 1, 2, 1])),
    "tracks": lambda: Tracks(np.array([(0, 0, 1, 2), (0, 1, 2, 3)], float), shear=[0.1, 0, 0.2]),
    "a surface": lambda: Surface((np.eye(3), np.array([[0, 1, 2]])), scale=(1, 2, -3)),
}


def choose(dock: Any, layer: Any) -> None:
    """Refocus it, or take it as the surface."""
    if layer in dock.image.choice.choices:
        dock.image.choice.value = layer
    if layer in dock.surface.layer.choices:
        dock.surface.kind.value = LAYER
        dock.surface.layer.value = layer


EACH_KIND = (
    *("in mm", "registered", "colours", "a pyramid", "5D", "labels 4D", "points", "shapes"),
    *("vectors", "tracks", "a surface"),
)


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param(list(ODD), id="all"),
        pytest.param(EACH_KIND, id="in the window", marks=pytest.mark.window),
    ],
)
def test_odd_layers_come_are_chosen_and_go(docks: Any, qtbot: Any, kinds: Any) -> None:
    """An exception in a handler of ours would come out of these calls."""
    viewer, cells = docks.viewer, docks.viewer.layers["cells"]
    for kind in kinds:
        layer = ODD[kind]()
        viewer.add_layer(layer)
        choose(docks, layer)
        docks.review()
        viewer.dims.point = tuple(at + 1 for at in viewer.dims.point)
        layer.name = "renamed"
        qtbot.wait(20)
        viewer.layers.remove(layer)
        assert layer not in docks.image.choice.choices, kind
        assert layer not in docks.surface.layer.choices, kind
        assert cells in docks.image.choice.choices, kind
        docks.review()
    docks.surface.kind.value = ANCHORS
    viewer.layers.clear()
    assert docks.image.layer is None


@pytest.mark.parametrize("ndim", [2, 3, 4, pytest.param(5, marks=pytest.mark.window), 6])
def test_the_last_layer_can_be_deleted_whatever_its_axes(
    open_dock: Callable[..., VirtualRefocusing], ndim: int
) -> None:
    dock = open_dock()
    layer = stack(ndim, units=("um",) * ndim, scale=(*(1.0,) * (ndim - 2), PIXEL_UM, PIXEL_UM))
    dock.viewer.add_layer(layer)
    assert dock.image.layer is layer
    dock.viewer.layers.remove(layer)
    assert dock.image.layer is None
    assert dock.image.choice.choices == (None,)


@pytest.mark.window
def test_a_chosen_layer_changes_under_the_dock(
    docks: Any, qtbot: Any, rng: np.random.Generator
) -> None:
    layer = docks.viewer.layers["cells"]
    shapes = [(3, 20, 30), (2, 3, 20, 30), (2, 2, 2, 20, 30), (20, 30), (4, 20, 30), (5, 7)]
    for shape in shapes:
        layer.data = rng.integers(0, 99, shape, dtype=np.uint16)
        qtbot.wait(30)
        docks.review()
        assert docks.forms.resolved().plane.shape == shape[-2:]
    for change in (
        {"scale": (-0.3, 0.3)},
        {"rotate": 40},
        {"shear": [0.3]},
        {"shear": [0.0]},
        {"units": ("inch", "inch")},
        {"units": ("degree", "pixel")},
        {"affine": np.array([[0, -2, 5], [2, 0, 6], [0, 0, 1.0]])},
        {"axis_labels": ("z", "z")},
        {"scale": (1e-30, 1e-30)},
        {"scale": (1e30, 1e30)},
    ):
        for name, value in change.items():
            setattr(layer, name, value)
        qtbot.wait(30)
        docks.review()


@pytest.mark.window
def test_a_result_changes_under_the_docks(docks: Any, qtbot: Any) -> None:
    run(docks, qtbot)
    viewer = docks.viewer
    (result,) = results_in(viewer)
    result.axis_labels = ("a", "b", "c")
    viewer.dims.set_point(0, 0)
    result.axis_labels = ("z", "y", "x")
    result.data = np.zeros((70, *result.data.shape[1:]), np.float32)
    viewer.dims.set_point(0, 60)
    result.data = np.zeros((3, 2, 20, 30), np.float32)
    viewer.dims.set_point(0, 1)
    result.units = ("um", "s", "mm", "mm")
    docks.view.choice.value = docks.view.choice.choices[1]
    viewer.layers.remove(result)
    docks.review()


@pytest.mark.window
def test_all_layers_are_deleted_while_a_run_goes_on(docks: Any, slowly: Slowly, qtbot: Any) -> None:
    docks.panel.refocus.click()
    qtbot.waitUntil(lambda: slowly.given >= 2, timeout=10_000)
    docks.viewer.layers.clear()
    wait_idle(docks, qtbot)
    assert docks.image.layer is None
    assert len(docks.viewer.layers) == 0


@pytest.mark.parametrize(
    ("scale", "units"),
    [
        ((25400, 25400), UM),
        ((25.4, 25.4), ("mm", "mm")),
        ((1, 1), ("inch", "inch")),
        ((0.001, 0.001), UM),
        ((1, 1), ("m", "m")),
    ],
)
def test_a_pixel_size_that_no_microscope_has_is_asked_for(
    open_dock: Callable[..., VirtualRefocusing],
    pixels: np.ndarray,
    qtbot: Any,
    scale: tuple[float, ...],
    units: Any,
) -> None:
    dock = open_dock()
    layer = dock.viewer.add_image(pixels, name="cells", scale=scale, units=units)
    dock.review()
    assert dock.image.sizes.pixel_size.native.isVisibleTo(dock)
    assert dock.image.sizes.pixel_size.value == PIXEL_UM  # the model's
    assert "µm wide, which no microscope's are; 0.325 µm is taken" in dock.trust.cautions.text()
    dock.surface.stop.value = dock.surface.start.value
    result = run(dock, qtbot)
    np.testing.assert_allclose(layer.scale, (PIXEL_UM, PIXEL_UM))
    np.testing.assert_allclose(result.scale[1:], (PIXEL_UM, PIXEL_UM))
    notes = result.metadata["napari-deepz"].provenance.notes
    assert any("no microscope's are; 0.325 µm is taken, as entered" in note for note in notes)


def test_a_pixel_size_cannot_be_written_to_what_cannot_be_refocused(
    open_dock: Callable[..., VirtualRefocusing],
    pixels: np.ndarray,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    dock = open_dock()
    layer = dock.viewer.add_image(pixels, name="cells")
    dock.review()
    layer.shear = [0.3]
    dock.image.sizes.use.native.click()
    assert [text for _, text in notified() if "is sheared" in text]
    np.testing.assert_array_equal(layer.scale, (1, 1))


def test_a_z_step_that_no_microscope_has_is_pointed_out(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray
) -> None:
    dock = open_dock()
    add_image(dock, np.stack([pixels] * 3), scale=(25400, PIXEL_UM, PIXEL_UM))
    dock.review()
    assert "its planes are 25400 µm apart, which no microscope's are" in dock.trust.cautions.text()


@pytest.mark.parametrize("typed", ["nan", "inf", "-1", "0", "1e9", ""])
def test_no_pixel_size_can_be_typed_that_no_microscope_has(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray, typed: str
) -> None:
    dock = open_dock()
    dock.viewer.add_image(pixels)
    box = dock.image.sizes.pixel_size.native
    box.lineEdit().setText(typed)
    box.interpretText()
    assert 0.005 <= dock.image.sizes.pixel_size.value <= 20


@pytest.mark.parametrize("units", [("pixel",) * 3, ("pixel", "um", "um"), ("s", "um", "um")])
def test_our_layers_have_units_of_the_same_kind_as_the_image(
    open_dock: Callable[..., VirtualRefocusing], rng: np.random.Generator, qtbot: Any, units: Any
) -> None:
    """napari shows layers whose units are of different kinds with a warning, and without units."""
    dock = open_dock()
    data = rng.integers(100, 4000, (3, 64, 80), dtype=np.uint16)
    layer = dock.viewer.add_image(data, units=units, scale=(1, PIXEL_UM, PIXEL_UM))
    if units[0] == "s":
        layer.axis_labels = ("t", "y", "x")
    dock.image.sizes.write()
    set_range(dock, -1, 1, 1)
    dock.review()
    run(dock, qtbot)
    dock.surface.kind.value = ANCHORS
    dock.anchors.anchors.replace([(0, 0, 0), (0, 20, 1), (15, 0, -1)])
    dock.workbench.mesh_switch.value = True
    assert len(dock.viewer.layers) > 3
    assert dock.viewer.layers.extent.units is not None
    if units[0] == "pixel":
        dock.review()
        dock.image.sizes.z_step.value = 0.5
        assert dock.viewer.layers.extent.units is not None
