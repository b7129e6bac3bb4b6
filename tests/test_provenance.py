import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
from pydantic import ValidationError

from napari_deepz.provenance import Provenance

FULL = Provenance(
    kind="inferred",
    input_name='Würmer "2" <µm>.tif',
    model_name="worm-20x",
    model_version="1.2",
    model_sha256="ab" * 32,
    surfaces=[{"kind": "flat", "start_um": -10.0, "stop_um": 10.0, "step_um": 0.5}],
    axial_range_um=(-10.0, 10.0),
    pixel_size_um=0.325,
    device="CPU, 2 threads",
    command="napari-deepz refocus a.tif b.ome.tif --z -10:10:0.5",
    notes=("The pixel size differs from the model's.",),
)


def test_json_round_trip() -> None:
    assert Provenance.from_json(FULL.to_json()) == FULL


def test_json_is_plain_ascii() -> None:
    text = FULL.to_json()
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text)["input_name"] == 'Würmer "2" <µm>.tif'


def test_defaults_say_what_wrote_it_and_when() -> None:
    provenance = Provenance(kind="measured")
    assert provenance.software == "napari-deepz"
    assert provenance.version == version("napari-deepz")
    age = datetime.now(UTC) - datetime.fromisoformat(provenance.created)
    assert timedelta(seconds=-2) < age < timedelta(minutes=1)
    assert provenance.surfaces is None
    assert provenance.notes == ()


def test_it_cannot_be_changed() -> None:
    record: Any = FULL
    with pytest.raises(ValidationError):
        record.device = "cuda"


def test_entries_of_a_newer_version_are_ignored() -> None:
    newer = json.loads(FULL.to_json()) | {"colour_of_the_lab_coat": "white"}
    assert Provenance.from_json(json.dumps(newer)) == FULL


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "guessed"}', "null"])
def test_a_damaged_record_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be read: it is damaged, or a newer version"):
        Provenance.from_json(text)


def test_a_file_name_that_is_not_valid_unicode_can_be_saved() -> None:
    provenance = Provenance(kind="measured", input_name="w\udcfcrmer.tif", notes=("\udcfc",))
    assert Provenance.from_json(provenance.to_json()) == provenance
    assert provenance.input_name == "w?rmer.tif"


def test_description_names_model_surface_and_command() -> None:
    text = FULL.describe()
    assert text.startswith("INFERRED by a neural network")
    for part in (
        "not measured",
        "Model worm-20x 1.2.",
        'Input image Würmer "2" <µm>.tif.',
        "Surface flat (start_um -10.0, stop_um 10.0, step_um 0.5).",
        "Axial range -10 to 10 µm.",
        "Note: The pixel size differs from the model's.",
        "Repeat with: napari-deepz refocus a.tif b.ome.tif --z -10:10:0.5",
    ):
        assert part in text


def test_description_of_long_surfaces_stays_short() -> None:
    points = [[float(i), float(i), 0.0] for i in range(1000)]
    surface = {"kind": "points", "points_um": points, "smoothing": 0.0, "comment": None}
    text = Provenance(kind="simulated", surfaces=[surface]).describe()
    assert text.startswith("SIMULATED, not measured.")
    assert "points (points_um (see the full record), smoothing 0.0)" in text


def test_a_measured_stack_is_not_called_inferred() -> None:
    text = Provenance(kind="measured").describe()
    assert text.startswith("Measured.")
    assert "INFERRED" not in text


def test_nested_text_that_is_not_valid_unicode_can_be_saved() -> None:
    """Such as the name of a surface's file."""
    surfaces = [
        {"kind": "image", "source": "w\udcfc.tif", "\udcff": [{"a": ("\ud800", 1.5, None)}]}
    ]
    provenance = Provenance(kind="inferred", surfaces=surfaces)
    assert provenance.surfaces == [
        {"kind": "image", "source": "w?.tif", "?": [{"a": ["?", 1.5, None]}]}
    ]
    assert Provenance.from_json(provenance.to_json()) == provenance
    assert "image (source w?.tif" in provenance.describe()


def test_a_record_written_with_such_text_can_be_read() -> None:
    text = json.dumps({"kind": "inferred", "surfaces": [{"source": "w\udcfc.tif"}]})
    assert "\\udcfc" in text
    assert Provenance.from_json(text).surfaces == [{"source": "w?.tif"}]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"kind": ' + '{"a":' * 100_000])
def test_a_record_nested_beyond_reason_says_so(text: Any) -> None:
    with pytest.raises(ValueError, match="cannot be read: it is damaged, or a newer version"):
        Provenance.from_json(text)
