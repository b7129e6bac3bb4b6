"""Cooking, saving, and cooking again what was saved."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

import napari_deepz as dz
from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.models.package import Model
from napari_deepz.recipes.again import recipe_of
from napari_deepz.recipes.cooking import Cooking, cook
from napari_deepz.recipes.recipe import ModelChoice, Recipe, Source
from napari_deepz.recipes.saving import even_step_um, save
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Curved, Flat, FromImage, FromPoints, Surface, Tilted
from napari_deepz.watch import Cancelled, Watch
from tests.conftest import write_tiny_model
from tests.engine.fake_generators import Hungry, model_of

PIXEL_UM = 0.325


@pytest.fixture
def movie(tmp_path: Path, rng: np.random.Generator) -> Path:
    """An OME-TIFF with time, channels and planes."""
    path = tmp_path / "movie.ome.tif"
    pixels = rng.integers(100, 4000, (2, 2, 3, 64, 80), dtype=np.uint16)
    sizes = {f"PhysicalSize{axis}": PIXEL_UM for axis in "XY"}
    tifffile.imwrite(path, pixels, metadata={"axes": "TCZYX", **sizes})
    return path


@pytest.fixture
def recipe(movie: Path, tiny_model: Model) -> Recipe:
    return Recipe(
        source=Source(path=str(movie), t=1, c=1, z=2),
        surfaces=Flat(-2, 2, 1),
        model=str(tiny_model.source),
    )


def test_planes_are_those_of_refocus(recipe: Recipe, movie: Path, tiny_model: Model) -> None:
    image = read_image(movie).plane(t=1, c=1, z=2)
    expected = dz.refocus(image, Flat(-2, 2, 1), tiny_model, pixel_size_um=PIXEL_UM)
    planes = list(cook(recipe))
    np.testing.assert_array_equal([plane.data for plane in planes], expected.data)
    assert [plane.z_um for plane in planes] == list(expected.z_um)


@pytest.mark.parametrize(
    "surface",
    [
        Flat(-2, 2, 1),
        Flat(2, -2, -1),
        Flat(1.5),
        Tilted(4, -3, 1),
        Curved(form="sphere", radius_um=200),
        FromPoints([(0, 0, 1), (0, 25, -2), (20, 0, 3), (20, 25, 0)]),
        FromImage(np.linspace(-3, 3, 64 * 80, dtype=np.float32).reshape(64, 80)),
    ],
)
@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_a_result_can_be_made_again(
    recipe: Recipe, tmp_path: Path, surface: Surface, ending: str
) -> None:
    if ending.endswith("zarr"):
        pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    first = save(cook(recipe.model_copy(update={"surfaces": (surface,)})), tmp_path / f"a{ending}")
    second = save(cook(recipe_of(first)), tmp_path / f"b{ending}")
    np.testing.assert_array_equal(read_image(first).stack(), read_image(second).stack())
    one, other = (read_provenance(file) for file in (first, second))
    assert one is not None
    assert other is not None
    changed = {"created", "recipe", "surfaces", "command"}
    assert one.model_dump(exclude=changed) == other.model_dump(exclude=changed)
    assert one.recipe == other.recipe


def test_a_cooking_of_which_planes_are_taken_is_not_saved(recipe: Recipe, tmp_path: Path) -> None:
    """It would be the rest of a stack, or none of it."""
    cooking = cook(recipe)
    next(iter(cooking))
    with pytest.raises(ValueError, match="1 of the 5 planes have been taken already: cook the rec"):
        save(cooking, tmp_path / "rest.ome.tif")
    whole = cook(recipe)
    save(whole, tmp_path / "whole.ome.tif")
    with pytest.raises(ValueError, match="5 of the 5 planes have been taken already"):
        save(whole, tmp_path / "twice.ome.tif")
    assert not {"rest.ome.tif", "twice.ome.tif"} & {path.name for path in tmp_path.iterdir()}


def test_a_descending_range_is_written_upward(recipe: Recipe, tmp_path: Path) -> None:
    down = recipe.model_copy(update={"surfaces": (Flat(2, -2, -1),)})
    series = read_image(save(cook(down), tmp_path / "out.ome.tif"))
    assert series.z_step_um == 1
    np.testing.assert_array_equal(series.stack(), [plane.data for plane in cook(recipe)])


def test_what_is_noticed_on_the_way_is_in_the_file(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    """Out of memory in the middle of a run, long after the file was begun."""
    made = Recipe(
        source=Source(name="cells"),
        surfaces=(Flat(-2, 2, 1), Flat(12)),
        sampling=Sampling(pixel_size_um=0.5),
    )
    pixels = rng.uniform(0, 1, (256, 256))
    network = Hungry(150 * 150, decodes=2, error=torch.OutOfMemoryError)
    cooking = Cooking(made, pixels=pixels, model=model_of(network))
    assert len(cooking.notes) == 1
    save(cooking, tmp_path / "out.ome.tif")
    record = read_provenance(tmp_path / "out.ome.tif")
    assert record is not None
    assert record.notes == cooking.notes
    starts = ("The plane lies beyond", "The planes are not evenly", "CPU")
    for note, start in zip(record.notes, starts, strict=True):
        assert note.startswith(start)
    assert "ran out of memory; going on in tiles of 128 pixels" in record.notes[-1]


def test_other_pixels_other_weights_and_other_places_are_refused(
    recipe: Recipe, movie: Path, tmp_path: Path
) -> None:
    made = cook(recipe).recipe
    other = write_tiny_model(tmp_path / "other", name="other", version="2")
    weights = made.model_copy(update={"model": ModelChoice(name=str(other), sha256="0" * 64)})
    with pytest.raises(ValueError, match="has other weights than that of the recipe"):
        cook(weights)
    place = recipe.model_copy(update={"source": recipe.source.model_copy(update={"z": 3})})
    with pytest.raises(ValueError, match="has no plane 3: they are numbered from 0 to 2"):
        cook(place)
    pixels = tifffile.imread(movie)
    pixels[1, 1, 2, 5, 5] += 1
    tifffile.imwrite(movie, pixels, metadata={"axes": "TCZYX"})
    with pytest.raises(
        ValueError, match=r"'movie\.ome\.tif' has other pixels than that of the rec"
    ):
        cook(made)


def test_an_image_in_no_file_is_cooked_from_its_pixels(
    tiny_model: Model, rng: np.random.Generator, tmp_path: Path
) -> None:
    made = Recipe(
        source=Source(name="cells"),
        surfaces=Flat(1),
        sampling=Sampling(pixel_size_um=PIXEL_UM, na=0.75),
        model=str(tiny_model.source),
    )
    pixels = rng.uniform(0, 1, (64, 80))
    file = save(cook(made, pixels=pixels), tmp_path / "out.ome.tif")
    with pytest.raises(ValueError, match="The image 'cells' of the recipe is in no file"):
        cook(recipe_of(file))
    again = save(cook(recipe_of(file), pixels=pixels), tmp_path / "again.ome.tif")
    np.testing.assert_array_equal(tifffile.imread(file), tifffile.imread(again))


@pytest.mark.parametrize("surface", [Flat(-2, 2, 1), FromImage(np.ones((64, 80), np.float32))])
def test_a_stopped_cooking_leaves_no_file(recipe: Recipe, tmp_path: Path, surface: Surface) -> None:
    recipe = recipe.model_copy(update={"surfaces": (surface,)})
    before = sorted(tmp_path.iterdir())
    asked = iter(range(1_000_000))
    with pytest.raises(Cancelled):
        save(cook(recipe, watch=Watch(lambda: next(asked) > 20)), tmp_path / "out.ome.tif")
    assert sorted(tmp_path.iterdir()) == before


def test_depths_beside_a_result_replace_nothing_else(recipe: Recipe, tmp_path: Path) -> None:
    depths = recipe.model_copy(update={"surfaces": (FromImage(np.ones((64, 80), np.float32)),)})
    (tmp_path / "out.dpm.tif").write_text("mine")
    with pytest.raises(ValueError, match=r"out\.dpm\.tif' exists and was not made by napari-deepz"):
        save(cook(depths), tmp_path / "out.ome.tif")
    assert (tmp_path / "out.dpm.tif").read_text() == "mine"
    (tmp_path / "out.dpm.tif").unlink()
    for _ in range(2):
        save(cook(depths), tmp_path / "out.ome.tif")
    assert (tifffile.imread(tmp_path / "out.dpm.tif") == 1).all()


def test_what_lies_in_the_way_is_never_replaced(recipe: Recipe, movie: Path) -> None:
    with pytest.raises(ValueError, match="was not made by napari-deepz"):
        save(cook(recipe), movie)
    with pytest.raises(ValueError, match="the recipe names none"):
        save(cook(recipe))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("measured", "holds no record of napari-deepz"), ("old", "older version of napari-deepz")],
)
def test_results_without_a_recipe(
    recipe: Recipe, tmp_path: Path, movie: Path, text: str, sentence: str
) -> None:
    if text == "old":
        file = save(cook(recipe), tmp_path / "out.ome.tif")
        record = json.dumps(recipe.model_dump(mode="json")["source"])[1:-1]
        assert record
        content = file.read_bytes()
        changed = content.replace(b"&quot;recipe&quot;", b"&quot;recipf&quot;")
        if changed == content:
            changed = content.replace(b'"recipe"', b'"recipf"')
        assert changed != content
        movie = file
        movie.write_bytes(changed)
    with pytest.raises(ValueError, match=sentence):
        recipe_of(movie)


def test_a_lens_is_shared_by_threads_and_copies_nothing(
    tiny_model: Model, rng: np.random.Generator
) -> None:
    lens = dz.Lens(tiny_model)
    images = [rng.uniform(0, 1, (64, 80)) for _ in range(3)]
    expected = [dz.refocus(one, Flat(1), tiny_model, pixel_size_um=0.325).data for one in images]
    found: list[Any] = [None] * 3

    def work(number: int) -> None:
        found[number] = dz.refocus(images[number], Flat(1), lens, pixel_size_um=0.325).data

    threads = [threading.Thread(target=work, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="A lens has a device of its own"):
        dz.refocus(images[0], Flat(1), lens, compute=dz.Compute(precision="bfloat16"))


@pytest.mark.parametrize(
    ("z_um", "step"),
    [((0.0, 0.5, 1.0), 0.5), ((1.0,), None), (None, None), ((0.0, 1.0, 3.0), None)],
)
def test_steps(z_um: tuple[float, ...] | None, step: float | None) -> None:
    assert even_step_um(z_um) == step
