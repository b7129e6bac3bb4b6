"""The recipe as a value, and as a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.compute import Compute
from napari_deepz.recipes.recipe import ModelChoice, Recipe, Source, stem_of
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import AlongPath, Curved, Flat, FromImage, FromPoints, Surface, Tilted

SOURCE = Source(path="/data/worm.tif", z=3)
DEPTHS = np.linspace(-3, 3, 40 * 50, dtype=np.float32).reshape(40, 50)


@pytest.mark.parametrize(
    "surface",
    [
        Flat(-10, 10, 0.5),
        Flat(2.5),
        Tilted(1.25, -2, 3),
        Curved(form="sphere", radius_um=-900, centre_um=(3.5, 4), offset_um=1),
        FromPoints([(0, 0, 1 / 3), (0, 9, 2), (9, 0, 3)], smoothing=0.5),
        AlongPath([(0, 0, 1 / 3), (0, 9, 2)]),
    ],
)
def test_what_is_saved_is_what_is_read(tmp_path: Path, surface: Surface) -> None:
    recipe = Recipe(
        source=SOURCE,
        surfaces=(surface, Flat(1)),
        sampling=Sampling(pixel_size_um=0.3, na=0.75, immersion_index=1, wavelength_um=0.52),
        model=ModelChoice(name="tiny", sha256="a" * 64),
        compute=Compute(device="cpu", precision="bfloat16"),
        output="out.ome.tif",
    )
    recipe.save(tmp_path / "worm.recipe.json")
    assert Recipe.load(tmp_path / "worm.recipe.json") == recipe


def test_depths_in_no_file_are_saved_beside_and_found_where_both_are_moved(tmp_path: Path) -> None:
    recipe = Recipe(source=SOURCE, surfaces=(FromImage(DEPTHS), Flat(0), FromImage(-DEPTHS)))
    (tmp_path / "a").mkdir()
    recipe.save(tmp_path / "a" / "worm.recipe.json")
    names = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert names == ["worm.2.dpm.tif", "worm.dpm.tif", "worm.recipe.json"]
    shutil.move(tmp_path / "a", tmp_path / "b")
    first, flat, second = Recipe.load(tmp_path / "b" / "worm.recipe.json").surfaces
    assert flat == Flat(0)
    np.testing.assert_array_equal(first.dpm(DEPTHS.shape, 1), DEPTHS)
    np.testing.assert_array_equal(second.dpm(DEPTHS.shape, 1), -DEPTHS)


def test_an_image_that_moved_with_the_recipe_is_found(tmp_path: Path) -> None:
    (tmp_path / "worm.tif").touch()
    Recipe(source=SOURCE, surfaces=Flat(0)).save(tmp_path / "r.json")
    assert Recipe.load(tmp_path / "r.json").source.path == str(tmp_path / "worm.tif")


def test_a_recipe_is_a_value() -> None:
    recipe = Recipe(source=SOURCE, surfaces=Flat(0), model="tiny")
    assert recipe.surfaces == (Flat(0),)
    assert recipe.model == ModelChoice(name="tiny")
    with pytest.raises(ValueError, match="frozen"):
        recipe.output = "b.tif"  # type: ignore[misc]


GOOD: dict[str, Any] = {"source": {"path": "a.tif"}, "surfaces": [{"kind": "flat", "start_um": 0}]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"surfaces": []}, "setting 'surfaces' of a recipe"),
        ({"surfaces": [{"kind": "bumpy"}]}, "of the unknown kind 'bumpy'"),
        ({"surfaces": [{"kind": "flat"}]}, "lacks the setting 'start_um'"),
        ({"surfaces": [{"kind": "flat", "start_um": "far"}]}, "setting 'start_um' of a Flat"),
        ({"surfaces": "flat"}, "must be a list"),
        ({"source": {"path": "a.tif", "z": -1}}, "setting 'z' of the source of a recipe is -1"),
        ({"source": None}, "setting 'source' of a recipe is None"),
        ({"sampling": {"pixel_size_um": 0}}, "'pixel_size_um' of a sampling is 0"),
        ({"compute": {"precision": "double"}}, "'precision' of the computation is 'double'"),
        ({"format_version": 2}, "setting 'format_version' of a recipe is 2"),
        ({"colour": "red"}, "A recipe has no setting 'colour'"),
        ({"model": {"sha256": "abc"}}, "setting 'sha256' of the model of a recipe"),
    ],
)
def test_a_wrong_setting_is_a_sentence(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "r.json").write_text(json.dumps(GOOD | changes))
    with pytest.raises(ValueError, match=sentence) as caught:
        Recipe.load(tmp_path / "r.json")
    assert str(caught.value).startswith("r.json cannot be used as a recipe: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": "flat"}', "[" * 100_000, "null"])
def test_what_is_no_recipe_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ValueError, match=r"^r\.json cannot be used as a recipe: "):
        Recipe.load(tmp_path / "r.json")


def test_a_missing_recipe_and_a_wrong_name_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no recipe"):
        Recipe.load(tmp_path / "r.json")
    with pytest.raises(ValueError, match=r"must have a name that ends in \.json"):
        Recipe(source=SOURCE, surfaces=Flat(0)).save(tmp_path / "r.txt")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("worm.ome.tif", "worm"),
        ("worm.2.OME.TIF", "worm.2"),
        ("a.b.recipe.json", "a.b"),
        ("worm", "worm"),
        ("x.png", "x"),
    ],
)
def test_stems(name: str, stem: str) -> None:
    assert stem_of(f"/data/{name}") == stem
