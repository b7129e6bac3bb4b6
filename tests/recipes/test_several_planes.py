"""Several input planes as one recipe: cooked, recorded, repeated, written as command and script."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_deepz as dz
from napari_deepz.io.reading import read_provenance
from napari_deepz.models.package import Model
from napari_deepz.recipes.command import command_of, script_of
from napari_deepz.samples import WORM

PLANES = (8, 12, 5)
Z_STEP_UM = 1.0


def recipe(tiny_model: Model, **changes: Any) -> dz.Recipe:
    source, *further = (
        dz.Source(path=str(WORM), z=z, at_um=(z - PLANES[0]) * Z_STEP_UM) for z in PLANES
    )
    settings: dict[str, Any] = {
        "source": source,
        "further": further,
        "merge": "distance",
        "surfaces": dz.Flat(-2, 4, 2),
        "model": str(tiny_model.source),
    }
    return dz.Recipe(**settings | changes)


def engine(model: Model) -> dz.EncodedPlanes:
    series = dz.read_image(WORM)
    return dz.EncodedPlanes(
        [series.plane(z=z) for z in PLANES],
        [z - PLANES[0] for z in PLANES],
        model,
        merge="distance",
        sampling=series.sampling(0),
    )


def test_its_planes_are_those_of_the_engine(tiny_model: Model) -> None:
    expected = engine(tiny_model).refocus(dz.Flat(-2, 4, 2))
    cooking = dz.cook(recipe(tiny_model))
    found = [plane.data for plane in cooking]
    np.testing.assert_array_equal(found, expected.data)
    assert cooking.notes == expected.notes


def test_a_result_names_every_plane_and_can_be_made_again(
    tiny_model: Model, tmp_path: Path
) -> None:
    first = dz.save(dz.cook(recipe(tiny_model)), tmp_path / "a.ome.tif")
    again = dz.recipe_of(first)
    assert [(one.z, one.at_um) for one in again.sources] == [(8, 0), (12, 4), (5, -3)]
    assert all(one.sha256 for one in again.sources)
    second = dz.save(dz.cook(again), tmp_path / "b.ome.tif")
    one, other = (dz.read_image(path).stack() for path in (first, second))
    np.testing.assert_array_equal(one, other)
    record = read_provenance(first)
    assert record is not None
    said = record.describe()
    assert said.startswith("INFERRED by a neural network from 3 images, not measured.")
    assert "worm.ome.tif, z 12, at 4 µm; worm.ome.tif, z 5, at -3 µm; merge distance." in said
    assert "--planes=8,12,5 --at=0,4,-3 --merge=distance" in said


def test_interpolation_is_not_called_inference(tiny_model: Model, tmp_path: Path) -> None:
    path = dz.save(dz.cook(recipe(tiny_model, merge="linear")), tmp_path / "a.ome.tif")
    record = read_provenance(path)
    assert record is not None
    assert record.describe().startswith("INTERPOLATED between 3 measured planes, not measured.")
    assert record.model_name is None
    np.testing.assert_array_equal(dz.read_image(path).stack()[1], dz.read_image(WORM).plane(z=8))
    assert dz.recipe_of(path).merge == "linear"


def test_how_far_it_may_be_off_is_a_result_of_its_own(tiny_model: Model, tmp_path: Path) -> None:
    made = recipe(tiny_model, spread=True)
    path = dz.save(dz.cook(made), tmp_path / "a.ome.tif")
    expected = engine(tiny_model).spread().refocus(dz.Flat(-2, 4, 2)).data
    np.testing.assert_array_equal(dz.read_image(path).stack(), expected)
    record = read_provenance(path)
    assert record is not None
    said = record.describe()
    assert said.startswith("HOW FAR virtual planes of 3 images may be off, INFERRED, not measured.")
    assert "is no percentage" in said
    assert "--merge=distance --spread" in said
    again = dz.save(dz.cook(dz.recipe_of(path)), tmp_path / "b.ome.tif")
    np.testing.assert_array_equal(dz.read_image(again).stack(), expected)
    text = script_of(made, Path("out.ome.tif")) or ""
    found: dict[str, Any] = {"dz": dz}
    exec(text[text.index("recipe = ") : text.index("dz.save(")], found)
    assert found["recipe"] == made


def test_the_way_that_was_chosen_is_recorded(tiny_model: Model) -> None:
    cooking = dz.cook(recipe(tiny_model, merge=None))
    assert cooking.recipe.merge == "distance"
    assert cooking.record().merge == "distance"


def test_a_further_plane_with_other_pixels_is_refused(tiny_model: Model) -> None:
    made = dz.cook(recipe(tiny_model)).recipe
    other = made.further[0].model_copy(update={"z": 11})
    with pytest.raises(ValueError, match="other pixels than that of the recipe"):
        dz.cook(made.model_copy(update={"further": (other, made.further[1])}))


def test_command_and_script_name_every_plane(tiny_model: Model) -> None:
    made = recipe(tiny_model)
    words = shlex.split(command_of(made, Path("out.ome.tif")) or "")
    assert {"--planes=8,12,5", "--at=0,4,-3", "--merge=distance"} < set(words)
    text = script_of(made, Path("out.ome.tif")) or ""
    found: dict[str, Any] = {"dz": dz}
    exec(text[text.index("recipe = ") : text.index("dz.save(")], found)
    assert found["recipe"] == made


def test_several_files_are_all_named(tiny_model: Model) -> None:
    sources = [dz.Source(path=f"{name}.tif", at_um=at) for name, at in (("a", 0), ("b c", 2.5))]
    made = recipe(tiny_model, source=sources[0], further=sources[1:], merge=None)
    words = shlex.split(command_of(made, Path("out.ome.tif")) or "")
    assert words[2:5] == ["a.tif", "b c.tif", "out.ome.tif"]
    assert "--at=0,2.5" in words
    mixed = recipe(tiny_model, source=sources[0], further=dz.Source(path="b.tif", z=3, at_um=1))
    assert command_of(mixed, Path("out.ome.tif")) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"further": ()}, "There is nothing to merge: name further input planes"),
        ({"further": (), "merge": None, "source": dz.Source(at_um=2)}, "where depths count from"),
        ({"further": (), "merge": None, "spread": True}, "One input plane does not say how far"),
        ({"further": dz.Source(z=3)}, "at depths that are all different"),
        ({"merge": "mean"}, "'merge' of a recipe"),
        ({"further": "worm.tif"}, "'further"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tiny_model: Model, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        recipe(tiny_model, **changes)


def test_saved_as_json_it_is_found_beside_its_files(tiny_model: Model, tmp_path: Path) -> None:
    made = recipe(tiny_model)
    made.save(tmp_path / "planes.recipe.json")
    assert dz.Recipe.load(tmp_path / "planes.recipe.json") == made
