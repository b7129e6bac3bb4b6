"""Phantoms: as many objects as their kind promises, and all of them in the volume."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.training.phantoms import Kind, Phantom, draw_phantom


def drawn(kind: Kind, seed: int, field_um: float = 83.2, half_depth_um: float = 5.0) -> Phantom:
    return draw_phantom(
        kind, np.random.default_rng(seed), field_um=field_um, half_depth_um=half_depth_um
    )


@pytest.mark.parametrize(
    ("kind", "few", "many"),
    [("sparse-beads", 4, 25), ("beads", 25, 160), ("dense-beads", 160, 500)],
)
def test_bead_fields_hold_as_many_beads_as_they_say(kind: Kind, few: int, many: int) -> None:
    counts = [len(drawn(kind, seed).centres_um) for seed in range(60)]
    assert few <= min(counts) < max(counts) <= many
    # Four times the area, four times the beads.
    larger = [len(drawn(kind, seed, field_um=166.4).centres_um) for seed in range(60)]
    np.testing.assert_allclose(larger, 4 * np.array(counts), atol=2)


def test_dense_fields_have_more_beads_than_sparse_ones() -> None:
    sparse = [len(drawn("sparse-beads", seed).centres_um) for seed in range(30)]
    dense = [len(drawn("dense-beads", seed).centres_um) for seed in range(30)]
    assert min(dense) > max(sparse)


@pytest.mark.parametrize("kind", ["head", "worm"])
def test_animals_stay_within_the_volume(kind: Kind) -> None:
    for seed in range(10):
        phantom = drawn(kind, seed)
        assert np.abs(phantom.points_um[:, 0]).max() <= 5
        assert np.abs(phantom.centres_um[:, 0]).max() <= 5
        assert len(phantom.brightness) == len(phantom.points_um)
        assert (phantom.brightness > 0).all()


def test_a_whole_head_has_all_its_neurons_about_one_axis() -> None:
    for seed in range(10):
        head = drawn("head", seed, half_depth_um=40.0)
        centres = head.centres_um
        assert 80 <= len(centres) < 200
        # About a straight axis within the radius of the thickest body: the nuclei scatter least
        # across it, and most of the variance in the image plane lies along it.
        centred = centres - [np.median(centres[:, 0]), 0, 0]
        _, _, axes = np.linalg.svd(centred[:, 1:], full_matrices=False)
        across = centred[:, 1:] @ axes[1]
        assert np.abs(across).max() <= 14 * 1.1
