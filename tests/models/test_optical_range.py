from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_deepz.models.card import model_card
from napari_deepz.models.optical_range import OpticalRange
from napari_deepz.models.spec import ModelSpec
from napari_deepz.sampling import Sampling
from tests.conftest import tiny_spec

RANGE = {"reach_waves": 6.5, "aperture": (0.2, 0.98), "sampling": (0.2, 0.75)}


def any_objective(**changes: object) -> ModelSpec:
    """A small model of any objective, which assumes 20x/0.75 where an image says nothing."""
    fields = {"architecture": "told-z-basis", "optical": RANGE, "objective": "20x/0.75 air"}
    return tiny_spec(parameters={"base": 4, "widest": 8, "levels": 2}, **(fields | changes))


@pytest.mark.parametrize(
    ("na", "index", "reach_um"),
    [(0.75, 1.0, 10.0), (1.4, 1.515, 3.6), (0.3, 1.0, 73.0)],
    ids=["20x/0.75", "63x/1.4 oil", "10x/0.3"],
)
def test_the_same_waves_are_other_distances(na: float, index: float, reach_um: float) -> None:
    """One wave of defocus is λ / (n - sqrt(n² - NA²))."""
    card = any_objective().for_image(
        Sampling(pixel_size_um=0.1, na=na, immersion_index=index, wavelength_um=0.52)
    )
    assert card.axial_range_um[1] == pytest.approx(reach_um, rel=0.01)
    assert card.axial_range_um[0] == -card.axial_range_um[1]
    assert card.na == na


@pytest.mark.parametrize(
    ("pixel_um", "grid_um"),
    [(0.325, 0.325), (0.14, 0.14), (0.52, 0.52), (0.05, 0.2 * 0.52 / 0.75), (1.0, 0.52)],
    ids=["usual", "finest known", "coarsest known", "finer", "coarser"],
)
def test_pixels_that_it_knows_are_left_as_they_are(pixel_um: float, grid_um: float) -> None:
    sampling = Sampling(pixel_size_um=pixel_um, na=0.75, immersion_index=1, wavelength_um=0.52)
    card = any_objective().for_image(sampling)
    assert card.pixel_size_um == pytest.approx(grid_um)
    assert card.resamples(pixel_um) == (pixel_um not in (0.325, 0.14, 0.52))


def test_what_the_image_does_not_say_is_assumed_and_not_told() -> None:
    spec = any_objective()
    placed = spec.placed(Sampling(pixel_size_um=0.325))
    assert placed is not None
    assert placed.told == (None, None, None)
    assert placed.missing == ("numerical aperture", "immersion", "emission wavelength")
    assert placed.sampling.na == 0.75
    unknown = spec.placed(None)
    assert unknown is not None
    assert unknown.sampling.pixel_size_um == spec.pixel_size_um
    assert unknown.missing == placed.missing


@pytest.mark.parametrize(("na", "index"), [(0.8, 1.0), (1.2, 1.33), (1.3, 1.515), (1.49, 1.515)])
def test_an_immersion_that_is_not_said_is_the_usual_one(na: float, index: float) -> None:
    placed = any_objective().placed(Sampling(pixel_size_um=0.1, na=na, wavelength_um=0.5))
    assert placed is not None
    assert placed.sampling.immersion_index == index
    assert placed.told[0] == pytest.approx(na / index)
    assert placed.told[1] == pytest.approx(min(max(0.1 * na / 0.5, 0.2), 0.75))


def test_apertures_that_were_not_trained_are_known_as_such() -> None:
    placed = any_objective().placed(
        Sampling(pixel_size_um=1.0, na=0.1, immersion_index=1.0, wavelength_um=0.5)
    )
    assert placed is not None
    assert not placed.is_known


def test_models_of_one_objective_stay_as_they_are() -> None:
    spec = tiny_spec()
    assert spec.for_image(Sampling(pixel_size_um=0.1, na=1.4, immersion_index=1.515)) is spec


@pytest.mark.parametrize(
    "changes",
    [{"optical": None}, {"architecture": "z-basis"}, {"na": None}],
    ids=["no range", "no such network", "nothing to assume"],
)
def test_a_card_that_does_not_fit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="optical"):
        any_objective(**changes)


def test_a_range_survives_its_card() -> None:
    spec = any_objective()
    assert ModelSpec.model_validate_json(spec.model_dump_json()).optical == OpticalRange(**RANGE)


def test_its_card_says_the_range_both_ways() -> None:
    card = dict(model_card(any_objective()))
    assert card["Range"] == (
        "6.5 waves of defocus either way: 73 µm at 10x/0.3 air, 10 µm at 20x/0.75 air, "
        "4.6 µm at 40x/1.3 oil, 3.6 µm at 63x/1.4 oil"
    )
    assert card["Pixel size"].startswith("0.2 to 0.75 λ/NA")
    assert "0.2 to 0.98 times" in card["NA"]
