"""A virtual stack that was saved and opened again is a result as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_deepz.models.package import Model
from napari_deepz.recipes import again
from napari_deepz.recipes.cooking import cook
from napari_deepz.recipes.recipe import Recipe, Source
from napari_deepz.recipes.saving import save
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.widgets.shared.reopened import recognise
from napari_deepz.widgets.shared.results import record_of
from tests.widgets.conftest import PIXEL_UM
from tests.widgets.test_comparing import TITLE, compare, names_in, wait_idle

INPUT_Z = 6


@pytest.fixture
def files(tmp_path: Path, model: Model, rng: np.random.Generator) -> tuple[Path, Path]:
    """A measured stack with planes 1 µm apart, and a virtual one made of its plane 6."""
    measured, virtual = tmp_path / "measured.ome.tif", tmp_path / "virtual.ome.tif"
    stack = rng.integers(100, 4000, (9, 64, 80), dtype=np.uint16)
    sizes = {"PhysicalSizeX": PIXEL_UM, "PhysicalSizeY": PIXEL_UM, "PhysicalSizeZ": 1.0}
    tifffile.imwrite(measured, stack, metadata={"axes": "ZYX", **sizes})
    recipe = Recipe(
        source=Source(path=str(measured), z=INPUT_Z),
        surfaces=Flat(-2, 2, 1),
        model=str(model.source),
    )
    save(cook(recipe), virtual)
    return measured, virtual


@pytest.mark.parametrize("plugin", ["napari-deepz", "napari"])
def test_it_is_compared_with_the_stack_it_was_made_from(
    make_viewer: Callable[[], Any],
    add_dock: Callable[[Any, str], Any],
    files: tuple[Path, Path],
    qtbot: Any,
    plugin: str,
) -> None:
    measured, virtual = files
    viewer = make_viewer()
    viewer.open(measured, plugin="napari-deepz")
    viewer.open(virtual, plugin=plugin)
    dock = add_dock(viewer, TITLE)
    dock.reset_choices()
    dock.review()
    (name,) = [name for name in names_in(dock.form.virtual_choice) if name]
    layer = viewer.layers[name]
    assert dock.form.measured.name == "measured"
    assert "⚠" not in dock.match.text()
    record = record_of(layer)
    assert record is not None
    assert record.z_um == (-2, -1, 0, 1, 2)
    axis_z_um = layer.translate[0]
    assert axis_z_um == pytest.approx(INPUT_Z - 2)
    compare(dock, qtbot)
    assert [depth.plane for depth in dock.depths] == [4, 5, 6, 7, 8]
    assert [depth.z_um for depth in dock.depths] == [-2, -1, 0, 1, 2]
    at_focus = dock.depths[2].unrefocused
    assert at_focus.rmse == 0  # The input plane is the measured plane of the same depth.
    assert "doing nothing" in dock.verdict.text()

    dock.panel.difference.click()
    wait_idle(dock, qtbot)
    dock.reset_choices()
    (difference,) = [one for one in viewer.layers if one.name.startswith("Difference: measured")]
    assert record_of(difference) is None
    assert difference.translate[0] == INPUT_Z - 2


def test_another_stack_is_compared_with_a_warning(
    make_viewer: Callable[[], Any], add_dock: Callable[[Any, str], Any], files: tuple[Path, Path]
) -> None:
    measured, virtual = files
    viewer = make_viewer()
    viewer.open(virtual, plugin="napari-deepz")
    other = tifffile.imread(measured)[::-1]
    viewer.add_image(
        other,
        name="other",
        axis_labels=("z", "y", "x"),
        units=("um",) * 3,
        scale=(1.0, PIXEL_UM, PIXEL_UM),
        translate=(-4.0, 0, 0),
    )
    dock = add_dock(viewer, TITLE)
    dock.reset_choices()
    dock.review()
    assert "The input plane was not found in the measured stack" in dock.match.text()


def test_an_input_that_is_gone_is_said_in_a_sentence(
    make_viewer: Callable[[], Any],
    add_dock: Callable[[Any, str], Any],
    files: tuple[Path, Path],
    qtbot: Any,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    measured, virtual = files
    viewer = make_viewer()
    stack = tifffile.imread(measured)
    measured.unlink()
    viewer.open(virtual, plugin="napari-deepz")
    viewer.add_image(
        stack,
        name="measured",
        axis_labels=("z", "y", "x"),
        units=("um",) * 3,
        scale=(1.0, PIXEL_UM, PIXEL_UM),
    )
    dock = add_dock(viewer, TITLE)
    dock.reset_choices()
    dock.review()
    assert "⚠" not in dock.match.text()  # Its pixels are known by their checksum.
    compare(dock, qtbot)
    assert any("measured.ome.tif" in text for _, text in notified())


def test_a_plane_on_a_tilted_surface_is_no_stack(
    make_viewer: Callable[[], Any], files: tuple[Path, Path], tmp_path: Path
) -> None:
    measured, virtual = files
    recipe = again.recipe_of(virtual)
    save(cook(recipe.model_copy(update={"surfaces": (Tilted(3, 0),)})), tmp_path / "tilted.ome.tif")
    viewer = make_viewer()
    viewer.open(tmp_path / "tilted.ome.tif", plugin="napari-deepz")
    viewer.open(measured, plugin="napari-deepz")
    for layer in viewer.layers:
        before = layer.translate.copy()
        recognise(layer)
        recognise(layer)
        assert record_of(layer) is None
        np.testing.assert_array_equal(layer.translate, before)
