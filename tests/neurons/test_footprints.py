"""Footprints: the point spread function of the reference, at places between pixels too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import shift

from napari_deepz.neurons.footprints import FootprintError, FootprintOptics, Footprints
from napari_deepz.sampling import Sampling
from napari_deepz.training.movies.projector import Projector
from napari_deepz.training.movies.scene import Balls, MovieSettings

PIXEL_UM = 0.325
DRY_20X = Sampling(pixel_size_um=PIXEL_UM, na=0.75, immersion_index=1.0, wavelength_um=0.52)


@pytest.mark.parametrize("z_um", [-6.0, -2.0, 0.3, 5.0])
def test_they_are_what_the_simulated_microscope_leaves(z_um: float) -> None:
    """psf-generator's integral, the sign of the depth and the place between pixels included."""
    pytest.importorskip("psf_generator", reason="needs napari-deepz[train]")
    settings = MovieSettings(size_px=96, depth_um=30.0, coma_waves=0.0)
    primary, _ = settings.optics.depth_aberration_waves(30.0)
    middle_um = (settings.size_px - 1) / 2 * PIXEL_UM
    place = np.array([z_um, 1.07, -2.6])
    projector = Projector(settings, 9.0)
    ball = Balls(place[None], np.array([0.7]), np.ones(1))
    expected = projector.image(projector.spectra(ball, 1.0), place[None], ball.light)
    footprints = Footprints(FootprintOptics(DRY_20X, primary), (1.0,), 8.0)
    found = footprints.matrix(place[None] + [0, middle_um, middle_um], (96, 96)).toarray()
    picture = found.reshape(96, 96)
    assert np.corrcoef(picture.ravel(), expected.ravel())[0, 1] > 0.99
    mirrored = footprints.matrix(place[None] * [-1, 1, 1] + [2, middle_um, middle_um], (96, 96))
    turned = np.corrcoef(mirrored.toarray().ravel(), expected.ravel())[0, 1]
    assert np.corrcoef(picture.ravel(), expected.ravel())[0, 1] > turned


def test_they_sum_to_one_and_move_by_parts_of_pixels() -> None:
    footprints = Footprints(FootprintOptics(DRY_20X), (0.0, 3.0), 4.0)
    places = np.array([[0.5, 20.0, 20.0], [0.5, 20.0 + 0.4 * PIXEL_UM, 20.0 - 0.25 * PIXEL_UM]])
    shape = (128, 128)
    matrix = footprints.matrix(places, shape).toarray().reshape(2, *shape, 2)
    np.testing.assert_allclose(matrix.sum(axis=(1, 2)), 1, atol=0.02)
    moved = shift(matrix[0, ..., 0], (0.4, -0.25), order=5)
    np.testing.assert_allclose(matrix[0, ..., 1], moved, atol=0.03 * moved.max())
    assert matrix[0].max() > matrix[1].max()  # It lies nearer to the first plane.


def test_what_lies_at_the_border_is_cut() -> None:
    footprints = Footprints(FootprintOptics(DRY_20X), (0.0,), 2.0)
    matrix = footprints.matrix(np.array([[0.0, 0.0, 0.0], [0.0, -50.0, 5.0]]), (64, 80))
    sums = np.asarray(matrix.sum(axis=0)).ravel()
    assert 0.25 <= sums[0] < 0.5
    assert sums[1] == 0


def test_unknown_optics_are_asked_for() -> None:
    with pytest.raises(
        FootprintError, match="needs the immersion and the emission wavelength of the movie"
    ):
        FootprintOptics(Sampling(pixel_size_um=PIXEL_UM, na=0.75))


def test_neurons_that_are_larger_leave_wider_footprints() -> None:
    small = Footprints(FootprintOptics(DRY_20X), (0.0,), 2.0)
    place = np.array([[0.0, 10.0, 10.0]])
    large = small.of_radius(1.6)
    before = small.patches(place, 0)[0]
    patch, corner = large.patches(place, 0)
    assert patch.sum() == pytest.approx(before.sum(), rel=1e-3)
    assert patch.max() < 0.6 * before.max()
    np.testing.assert_array_equal(small.patches(place, 0)[0], before)
    np.testing.assert_array_equal(corner, small.patches(place, 0)[1])
