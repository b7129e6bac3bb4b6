"""What the bundled generator is worth on simulated stacks that it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz import Flat, Tilted, evaluate, load_model, refocus
from napari_deepz.analysis.metrics import best_focus_um, half_light_diameter_um
from napari_deepz.models.package import Model
from napari_deepz.training.simulation import SimulatedStack, StackSettings, simulate

pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")
pytestmark = pytest.mark.slow

# Neither the training's seed (31) nor its validation's (32): other pupils, objects and noise.
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


def test_better_than_unrefocused_at_every_depth(stacks: list[SimulatedStack], model: Model) -> None:
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
    return list(
        simulate(6, UNSEEN_SEED, settings, kinds=("tilted-beads",), pupils=3, tilt_span_um=RISE_UM)
    )


def apart(centres: np.ndarray, distance_px: float = 12, margin_px: float = 12) -> np.ndarray:
    """Beads that have no neighbour nearby and do not touch the border."""
    position = centres[:, 1:]
    gaps = np.linalg.norm(position[:, None] - position[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    inside = ((position > margin_px) & (position < FIELD_PX - 1 - margin_px)).all(axis=1)
    return centres[inside & (gaps.min(axis=1) > distance_px)]


def test_beads_of_a_tilted_field_come_into_focus_at_their_depth(
    tilted: list[SimulatedStack], model: Model
) -> None:
    away_um = []
    for stack in tilted:
        beads = apart(stack.centres)
        virtual = refocus(
            stack.measured[20], Flat(-10, 10, 0.5), model, pixel_size_um=PIXEL_UM
        ).data
        depth_um = best_focus_um(virtual, stack.z_um, beads[:, 1:])
        assert np.isfinite(depth_um).all()
        away_um.append(depth_um - beads[:, 0])
    for field in (*away_um, np.concatenate(away_um)):
        scatter_um = np.sqrt(np.mean(field**2))
        print(f"{len(field)} beads: {scatter_um:.2f} µm rms about the true plane")
    assert scatter_um < 0.5


def test_refocusing_onto_the_tilted_plane_gathers_the_light(
    tilted: list[SimulatedStack], model: Model
) -> None:
    surface = Tilted(np.degrees(np.arctan(RISE_UM / (FIELD_PX * PIXEL_UM))), 0.0)
    found: dict[str, list[np.ndarray]] = {"input": [], "virtual": []}
    for stack in tilted:
        beads = apart(stack.centres)
        image = refocus(stack.measured[20], surface, model, pixel_size_um=PIXEL_UM).data[0]
        for name, pixels in (("input", stack.measured[20]), ("virtual", image)):
            # Half the distance to the next bead: the largest circle that holds one bead alone.
            diameter_um = half_light_diameter_um(
                pixels, beads[:, 1:], PIXEL_UM, search_radius_um=6 * PIXEL_UM
            )
            found[name].append(np.where(np.isfinite(diameter_um), diameter_um, np.inf))
    before, after = (np.concatenate(found[name]) for name in ("input", "virtual"))
    print(f"90 % of {len(after)} beads within {np.percentile(after, 90):.2f} µm")
    print(f"within 1.3 µm: {np.mean(after <= 1.3):.2f}, of the input {np.mean(before <= 1.3):.2f}")
    assert np.percentile(after, 90) < 1.4
    assert np.percentile(after, 90) < 0.65 * np.percentile(before, 90)
