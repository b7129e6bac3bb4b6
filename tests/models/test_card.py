"""What is read off an objective's name, and what people read about a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_deepz.models.card import CardFields, model_card
from napari_deepz.models.library import load_model
from napari_deepz.sampling import parse_objective
from tests.conftest import tiny_spec


@pytest.mark.parametrize(
    ("objective", "na"),
    [
        ("20x/0.75 dry", 0.75),
        ("40x/1.3, oil", 1.3),
        ("63x/1,4 Oil", 1.4),
        ("100x / 1.49", 1.49),
        ("20x/1", 1.0),
        ("20x/10", None),
        ("20x/0.7.5", None),
        ("20x/1,,5", 1.0),
        ("20x 0.75", None),
        ("", None),
    ],
)
def test_the_aperture_is_read_off_the_objective(objective: str, na: float | None) -> None:
    assert parse_objective(objective)[0] == na
    assert CardFields(objective=objective).given().get("na") == na


def test_the_card_of_the_bundled_model_says_what_people_must_know() -> None:
    spec = load_model().spec
    rows = dict(model_card(spec))
    low_um, high_um = spec.axial_range_um
    assert rows["Objective"] == spec.made_for
    root = Path(__file__).parents[2]
    for page in ("README.md", "docs/how_far_to_trust.md"):
        assert spec.made_for in " ".join((root / page).read_text(encoding="utf-8").split())
    assert rows["Range"].startswith(f"{low_um:g} to {high_um:g} µm")
    assert rows["Licence"] == spec.licence
    assert rows["Pixel size"] == f"{spec.pixel_size_um:g} µm"


def test_training_is_told_without_brackets_of_json() -> None:
    training = {"seeds": [1, 2], "validation_loss": {"-2": {"a": 0.5}, "2": {"a": None}}}
    rows = dict(model_card(tiny_spec(training=training)))
    assert rows["Training: seeds"] == "1; 2"
    assert rows["Training: validation loss"] == "-2 (a 0.5), 2 (a not said)"
