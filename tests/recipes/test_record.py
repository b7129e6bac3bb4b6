"""What is saved with the planes of a recipe."""

from __future__ import annotations

from typing import Any

from napari_deepz.provenance import Provenance
from napari_deepz.recipes.recipe import Recipe, Source
from napari_deepz.recipes.record import describe_run
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, Surface, Tilted
from tests.engine.fake_generators import AddDistance, model_of

MODEL = model_of(AddDistance())


def record(*surfaces: Surface, **changes: Any) -> Provenance:
    recipe = Recipe(
        source=Source(path="/data/worm.tif", z=3),
        surfaces=surfaces,
        sampling=Sampling(pixel_size_um=0.5, na=0.8),
    )
    return describe_run(recipe, MODEL, device="CPU, 1 thread", notes=["Mind this."])


def test_a_run_is_recorded_with_what_repeats_it() -> None:
    made = record(Flat(-4, 4, 2), Flat(7))
    assert made.kind == "inferred"
    assert (made.model_name, made.model_version, made.model_sha256) == ("known", "1.2", "0" * 64)
    assert made.input_name == "worm.tif"
    assert made.axial_range_um == (-4, 7)
    assert made.sampling == Sampling(pixel_size_um=0.5, na=0.8)
    assert made.device == "CPU, 1 thread"
    assert made.notes == ("Mind this.",)
    assert [Flat(**surface) for surface in made.surfaces or ()] == [Flat(-4, 4, 2), Flat(7)]
    assert made.recipe is not None
    assert made.recipe["source"]["z"] == 3


def test_the_range_of_other_surfaces_is_left_open() -> None:
    made = record(Flat(3), Tilted(2, 0))
    assert made.axial_range_um is None
    assert (made.surfaces or [])[1] == {
        "kind": "tilted",
        "tilt_x_deg": 2.0,
        "tilt_y_deg": 0.0,
        "offset_um": 0.0,
    }


def test_the_record_survives_json() -> None:
    made = record(Flat(-4, 4, 2))
    assert Provenance.from_json(made.to_json()) == made


def test_records_of_the_first_version_still_say_their_pixel_size() -> None:
    old = '{"kind": "inferred", "pixel_size_um": 0.325, "surfaces": null}'
    assert Provenance.from_json(old).sampling == Sampling(pixel_size_um=0.325)
