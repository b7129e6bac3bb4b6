from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_deepz.models.package import save_model
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.usual_range import usual_range, usual_tilt
from tests.models.test_optical_range import any_objective
from tests.widgets.conftest import add_image, set_range


@pytest.mark.parametrize(
    ("reach_um", "proposed"),
    [
        ((-10.0, 10.0), (-10.0, 10.0, 0.5)),
        ((-3.61, 3.61), (-3.6, 3.6, 0.2)),
        ((-73.4, 73.4), (-70.0, 70.0, 5.0)),
        ((-4.6, 4.6), (-4.5, 4.5, 0.5)),
        ((-3.0, 7.0), (-3.0, 7.0, 0.5)),
        ((0.001, 0.002), (0.001, 0.002, 0.01)),
    ],
)
def test_planes_are_round_numbers_with_the_image_among_them(
    reach_um: tuple[float, float], proposed: tuple[float, float, float]
) -> None:
    assert usual_range(reach_um) == pytest.approx(proposed)


@pytest.fixture
def any_dock(open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray) -> VirtualRefocusing:
    """The dock with an image and a model of any objective."""
    package = Path(os.environ["NAPARI_DEEPZ_MODELS"]) / "any"
    spec = any_objective(name="any")
    save_model(package, spec, spec.build())
    dock = open_dock()
    dock.model.add(package)
    add_image(dock, pixels)
    dock.review()
    return dock


def objective(dock: VirtualRefocusing, **optics: float) -> None:
    for name, value in optics.items():
        getattr(dock.forms.optics, name).value = value
    dock.review()


def flat(dock: VirtualRefocusing) -> tuple[Any, Any, Any]:
    surface = dock.surface
    return surface.start.value, surface.stop.value, surface.step.value


def test_the_range_follows_the_objective_until_it_is_set(any_dock: VirtualRefocusing) -> None:
    assert flat(any_dock) == (-10.0, 10.0, 0.5)
    objective(any_dock, na=1.4, immersion_index=1.515, wavelength_nm=520)
    assert flat(any_dock) == (-3.6, 3.6, 0.2)
    assert any_dock.surface.focus.limits == (-3.6, 3.6)
    assert "3.61" in any_dock.facts.model.text()
    set_range(any_dock, -2, 2, 1)
    objective(any_dock, na=0.75, immersion_index=1.0)
    assert flat(any_dock) == (-2.0, 2.0, 1.0)


def test_it_says_which_optics_it_assumes(any_dock: VirtualRefocusing) -> None:
    assert "does not say its numerical aperture" in any_dock.trust.cautions.text()
    objective(any_dock, na=0.5, immersion_index=1.0, wavelength_nm=520)
    assert any_dock.trust.cautions.text() == ""


def test_tilts_reach_as_far_as_field_and_model_allow() -> None:
    """20x/0.75, 1024 pixels: 3.4 degrees bring the edges to 10 µm, and a step moves them 0.1 µm."""
    (low, high), step = usual_tilt((-10, 10), 1024 * 0.325)
    assert high == pytest.approx(3.44, abs=0.01)
    assert low == -high
    half_um = 1024 * 0.325 / 2
    assert np.tan(np.radians(high)) * half_um == pytest.approx(10)
    assert np.tan(np.radians(step)) * half_um == pytest.approx(0.1)
