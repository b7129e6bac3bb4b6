"""What the bundled generator is worth on simulated stacks that it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz import Flat, Tilted, evaluate, load_model, refocus
from napari_deepz.analysis.metrics import best_focus_um, half_light_diameter_um
from napari_deepz.generators.package import Model
from napari_deepz.training.simulation import SimulatedStack, StackSettings, simulate

pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")
pytestmark = pytest.mark.slow

# Neither the training's seed (1) nor its validation's (2): other pupils, objects and noise.
UNSEEN_SEED = 77
FIELD_PX = 256
RISE_UM = 8.0
PIXEL_UM = 0.325


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


@pytest.fixture(scope="module", params=["beads", "neurons", "worm"])
def stacks(request: pytest.FixtureRequest) -> list[SimulatedStack]:
    settings = StackSettings(half_range_um=10, z_step_um=2)
    return list(simulate(3, UNSEEN_SEED, settings, kinds=(request.param,)))


def test_better_than_unrefocused_at_every_depth(stacks: list[SimulatedStack], model: Model):
    results = [
        evaluate(stack.measured, 5, model, pixel_size_um=PIXEL_UM, z_step_um=2) for stack in stacks
    ]
    for depths in zip(*(result.depths for result in results), strict=True):
        means = {
            which: np.mean(
                [
                    (getattr(depth, which).psnr, getattr(depth, which).correlation)
                    for depth in depths
                ],
                axis=0,
            )
            for which in ("refocused", "unrefocused")
        }
        print(stacks[0].kind, depths[0].z_um, means)
        assert (means["refocused"] > means["unrefocused"]).all()


@pytest.fixture(scope="module")
def tilted() -> list[SimulatedStack]:
    settings = StackSettings(half_range_um=10, z_step_um=0.5)
    fields = simulate(3, UNSEEN_SEED, settings, kinds=("tilted-beads",), tilt_span_um=RISE_UM)
    return list(fields)


def apart(centres: np.ndarray, distance_px: float = 12, margin_px: float = 12) -> np.ndarray:
    """Beads that have no neighbour nearby and do not touch the border."""
    position = centres[:, 1:]
    gaps = np.linalg.norm(position[:, None] - position[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    inside = ((position > margin_px) & (position < FIELD_PX - 1 - margin_px)).all(axis=1)
    return centres[inside & (gaps.min(axis=1) > distance_px)]


def test_beads_of_a_tilted_field_come_into_focus_at_their_depth(
    tilted: list[SimulatedStack], model: Model
):
    for stack in tilted:
        beads = apart(stack.centres)
        virtual = refocus(
            stack.measured[20], Flat(-10, 10, 0.5), model, pixel_size_um=PIXEL_UM
        ).data
        depth_um = best_focus_um(virtual, stack.z_um, beads[:, 1:])
        found = np.isfinite(depth_um)
        away_um = depth_um[found] - beads[found, 0]
        scatter_um = np.sqrt(np.mean((away_um - away_um.mean()) ** 2))
        print(len(beads), found.sum(), away_um.mean(), scatter_um)
        assert found.mean() > 0.95
        assert scatter_um < 0.5


def test_refocusing_onto_the_tilted_plane_gathers_the_light(
    tilted: list[SimulatedStack], model: Model
):
    surface = Tilted(np.degrees(np.arctan(RISE_UM / (FIELD_PX * PIXEL_UM))), 0.0)
    for stack in tilted:
        beads = apart(stack.centres)
        image = refocus(stack.measured[20], surface, model, pixel_size_um=PIXEL_UM).data[0]
        before, after = (
            half_light_diameter_um(pixels, beads[:, 1:], PIXEL_UM, search_radius_um=2.0)
            for pixels in (stack.measured[20], image)
        )
        within = np.mean(after <= 1.3)
        print(len(beads), np.nanpercentile(before, 90), np.nanpercentile(after, 90), within)
        assert within >= 0.9
