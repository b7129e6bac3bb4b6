from __future__ import annotations

import math
from typing import Any

import pytest

from napari_deepz.sampling import OBJECTIVES, Sampling, as_sampling, parse_objective


def test_units_of_a_dry_objective() -> None:
    sampling = Sampling(pixel_size_um=0.325, na=0.75, immersion_index=1.0, wavelength_um=0.52)
    assert sampling.lateral_unit_um == pytest.approx(0.52 / 0.75)
    assert sampling.axial_unit_um == pytest.approx(0.52 / (1 - math.sqrt(1 - 0.5625)))


def test_a_small_aperture_has_the_depth_of_the_paraxial_formula() -> None:
    sampling = Sampling(pixel_size_um=1, na=0.05, immersion_index=1.33, wavelength_um=0.5)
    assert sampling.axial_unit_um == pytest.approx(2 * 1.33 * 0.5 / 0.05**2, rel=1e-3)


def test_an_oil_objective_is_within_its_range_where_a_dry_one_is() -> None:
    """20x/0.75 at 10 µm is as many waves as 63x/1.4 oil at about 3.6 µm and 10x/0.3 at 70 µm."""
    dry, oil, low = (
        Sampling(pixel_size_um=0.3, na=na, immersion_index=n, wavelength_um=0.52)
        for na, n in ((0.75, 1.0), (1.4, 1.515), (0.3, 1.0))
    )
    assert dry.axial_unit_um
    assert oil.axial_unit_um
    assert low.axial_unit_um
    waves = 10 / dry.axial_unit_um
    assert waves * oil.axial_unit_um == pytest.approx(3.6, abs=0.1)
    assert waves * low.axial_unit_um == pytest.approx(73, abs=1)


@pytest.mark.parametrize("missing", ["na", "wavelength_um", "immersion_index"])
def test_units_of_unknown_optics_are_unknown(missing: str) -> None:
    known = {"na": 0.75, "immersion_index": 1.0, "wavelength_um": 0.52} | {missing: None}
    sampling = Sampling(pixel_size_um=0.325, **known)
    assert sampling.axial_unit_um is None
    assert (sampling.lateral_unit_um is None) == (missing != "immersion_index")
    assert "unknown" in sampling.describe()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"pixel_size_um": 0},
            "'pixel_size_um' of a sampling is 0; input should be greater",
        ),
        (
            {"pixel_size_um": math.nan},
            "is nan; input should be a finite number",
        ),
        ({}, "'pixel_size_um' of a sampling is missing; add it."),
        ({"pixel_size_um": 1, "na": 63}, "'na' of a sampling is 63; input should be less than 1.7"),
        (
            {"pixel_size_um": 1, "wavelength_um": 520},
            "is 520; input should be less",
        ),
        ({"pixel_size_um": 1, "na": 1.4, "immersion_index": 1.0}, "1.4 is not possible in an imm"),
        ({"pixel_size_um": 1, "n": 1.4}, "A sampling has no setting 'n'"),
    ],
)
def test_what_no_microscope_has(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Sampling(**settings)


def test_a_pixel_size_alone() -> None:
    assert as_sampling(None, 0.5) == Sampling(pixel_size_um=0.5)
    assert as_sampling(None, None) is None
    with pytest.raises(ValueError, match="either a sampling or a pixel size"):
        as_sampling(Sampling(pixel_size_um=0.5), 0.5)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("63x/1.4 oil", (1.4, 1.515)),
        ("20x/0,75 dry", (0.75, 1.0)),
        ("Plan-Apochromat 20x/0.8 M27", (0.8, None)),
        ("25x/1.1 W", (1.1, 1.33)),
        ("unknown objective", (None, None)),
    ],
)
def test_objectives_as_people_write_them(text: str, read: Any) -> None:
    assert parse_objective(text) == read


def test_what_is_offered_is_possible() -> None:
    for name in OBJECTIVES:
        na, immersion_index = parse_objective(name)
        assert na is not None
        assert immersion_index is not None
        sampling = Sampling(
            pixel_size_um=0.1, na=na, immersion_index=immersion_index, wavelength_um=0.52
        )
        assert sampling.axial_unit_um is not None
        assert sampling.axial_unit_um > 0
