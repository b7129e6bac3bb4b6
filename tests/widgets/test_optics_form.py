"""Optics and computation as the user chooses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from typer.testing import CliRunner

from napari_deepz.cli import app
from napari_deepz.engine.compute import Compute
from napari_deepz.io.reading import read_provenance
from napari_deepz.recipes.again import recipe_of
from napari_deepz.recipes.cooking import cook
from napari_deepz.recipes.recipe import Recipe
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat
from napari_deepz.watch import UNWATCHED
from napari_deepz.widgets.refocusing.exporting.export_dialog import export_request
from napari_deepz.widgets.refocusing.exporting.export_task import ExportKind, export_planes
from napari_deepz.widgets.shared.optics_form import OTHER, UNKNOWN, OpticsForm
from napari_deepz.widgets.shared.results import record_of
from tests.widgets.conftest import run, set_range


@pytest.fixture
def form(qapp: Any) -> OpticsForm:
    return OpticsForm()


def test_an_objective_fills_in_its_numbers(form: OpticsForm) -> None:
    form.objective.value = "63x/1.4 oil"
    assert form.values() == {"na": 1.4, "immersion_index": 1.515, "wavelength_um": None}
    form.wavelength_nm.value = 520
    assert form.values()["wavelength_um"] == 0.52
    form.objective.value = UNKNOWN
    assert form.values() == {"na": None, "immersion_index": None, "wavelength_um": 0.52}


def test_numbers_find_their_objective(form: OpticsForm) -> None:
    form.na.value = 0.75
    assert form.objective.value == OTHER
    form.immersion_index.value = 1.0
    assert form.objective.value == "20x/0.75 air"
    form.na.value = form.immersion_index.value = 0
    assert form.objective.value == UNKNOWN


def test_what_the_file_says_is_filled_in_but_not_over_what_was_typed(form: OpticsForm) -> None:
    one, other = (Image(np.zeros((4, 4))) for _ in range(2))
    told: list[None] = []
    form.changed.connect(lambda: told.append(None))
    stated = {"na": 1.1, "immersion_index": 1.33, "wavelength_um": 0.61}
    form.suggest(one, stated)
    assert form.values() == stated
    assert form.objective.value == "25x/1.1 water"
    assert told == []
    form.na.value = 1.2
    form.suggest(one, stated)
    assert form.values()["na"] == 1.2
    form.suggest(other, {})
    assert set(form.values().values()) == {None}
    form.suggest(one, stated)
    assert form.values() == stated | {"na": 1.2}


@pytest.fixture
def opened(dock: Any, tmp_path: Path, pixels: np.ndarray) -> Path:
    path = tmp_path / "cells.ome.tif"
    sizes = {f"PhysicalSize{axis}": 0.325 for axis in "XY"}
    channel = {"EmissionWavelength": 520, "EmissionWavelengthUnit": "nm"}
    tifffile.imwrite(path, pixels, metadata={"axes": "YX", "Channel": channel, **sizes})
    (dock.image.choice.value,) = dock.viewer.open(path, plugin="napari-deepz")
    return path


def test_a_recipe_of_the_dock_gives_the_same_pixels_elsewhere(
    dock: Any, qtbot: Any, opened: Path, tmp_path: Path
) -> None:
    """Saved by the dock, cooked in Python and at the command line."""
    dock.forms.optics.objective.value = "20x/0.75 air"
    dock.compute.device.value = "cpu"
    dock.compute.memory_gb.value = 2
    set_range(dock, 2, -2, 1)
    layer = run(dock, qtbot)
    record = record_of(layer)
    assert record is not None
    file = tmp_path / "cells.recipe.json"
    export_planes(export_request(layer, record, file, ExportKind.RECIPE), lambda _: None, UNWATCHED)
    recipe = Recipe.load(file)
    sampling = Sampling(pixel_size_um=0.325, na=0.75, immersion_index=1.0, wavelength_um=0.52)
    assert recipe.sampling == sampling
    assert recipe.compute == Compute(device="cpu", memory_gb=2)
    assert recipe.surfaces == (Flat(-2, 2, 1),)
    assert recipe.source.path == str(opened)
    np.testing.assert_array_equal([plane.data for plane in cook(recipe)], layer.data)
    output = tmp_path / "again.ome.tif"
    result = CliRunner().invoke(app, ["refocus", "--again", str(file), str(output)])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(tifffile.imread(output), layer.data)


def test_an_exported_stack_is_made_again_from_its_record(
    dock: Any, qtbot: Any, opened: Path, tmp_path: Path
) -> None:
    layer = run(dock, qtbot)
    record = record_of(layer)
    assert record is not None
    file = tmp_path / "out.ome.tif"
    export_planes(export_request(layer, record, file), lambda _: None, UNWATCHED)
    planes = [plane.data for plane in cook(recipe_of(file))]
    np.testing.assert_array_equal(planes, tifffile.imread(file))
    saved = read_provenance(file)
    assert saved is not None
    assert saved.notes == record.provenance.notes


@pytest.mark.parametrize("choose", [lambda form: form.precision, lambda form: form.device])
def test_another_computation_is_said(dock: Any, choose: Callable[[Any], Any]) -> None:
    setting = choose(dock.compute)
    other = next(choice for choice in setting.choices if choice != setting.value)
    setting.value = other
    assert dock.forms.resolved().request.recipe.compute == dock.compute.compute()
    assert dock.state.message == f"Computes on {dock.compute.describe()}."
    dock.restore_defaults()
    assert dock.compute.compute() == Compute()
