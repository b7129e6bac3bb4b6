"""Measures against scikit-image and against beads of known size and depth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.measure import pearson_corr_coeff
from skimage.metrics import (
    mean_squared_error,
    peak_signal_noise_ratio,
    structural_similarity,
)

from napari_deepz.analysis.metrics import (
    best_focus_um,
    correlation,
    half_light_diameter_um,
    psnr,
    rmse,
    ssim,
)

HALF_LIGHT_OF_GAUSSIAN = 2 * math.sqrt(2 * math.log(2))


def noisy_pair(dtype: str = "f8") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 200, (48, 37))
    return (truth + rng.uniform(0, 30, truth.shape)).astype(dtype), truth.astype(dtype)


def gaussian(
    shape: tuple[int, int], centre: tuple[float, float], sigma_px: float | np.ndarray
) -> np.ndarray:
    """A bead with a total light of 1; one plane for each sigma."""
    y, x = np.indices(shape)
    squared = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
    variance = np.square(np.asarray(sigma_px, float))[..., np.newaxis, np.newaxis]
    return np.exp(-squared / (2 * variance)) / (2 * math.pi * variance)


class TestImages:
    @pytest.mark.parametrize("dtype", ["f8", "f4", "u1", ">u2", "i2"])
    def test_agreement_with_scikit_image(self, dtype: str) -> None:
        image, truth = noisy_pair(dtype)
        a, b = image.astype(float), truth.astype(float)
        assert rmse(image, truth) == pytest.approx(math.sqrt(mean_squared_error(b, a)))
        assert psnr(image, truth, data_range=200) == pytest.approx(
            peak_signal_noise_ratio(b, a, data_range=200)
        )
        window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        assert ssim(image, truth, data_range=200) == pytest.approx(
            structural_similarity(b, a, data_range=200, **window)
        )
        assert correlation(image, truth) == pytest.approx(pearson_corr_coeff(a, b)[0])

    def test_a_constant_difference(self) -> None:
        truth = noisy_pair()[1]
        assert rmse(truth + 5, truth) == pytest.approx(5)
        assert psnr(truth + 5, truth, data_range=500) == pytest.approx(40)
        assert correlation(3 * truth + 5, truth) == pytest.approx(1)
        assert correlation(-truth, truth) == pytest.approx(-1)

    def test_unsigned_differences_do_not_wrap(self) -> None:
        dark, bright = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
        assert rmse(dark, bright) == 255
        assert psnr(dark, bright, data_range=255) == pytest.approx(0, abs=1e-12)

    def test_equal_images(self) -> None:
        truth = noisy_pair()[1]
        assert rmse(truth, truth) == 0
        assert psnr(truth, truth, data_range=1) == math.inf
        assert ssim(truth, truth, data_range=200) == pytest.approx(1)
        assert correlation(truth, truth) == pytest.approx(1)

    def test_orthogonal_patterns(self) -> None:
        stripes = np.tile([0.0, 1.0], (12, 6))
        assert correlation(stripes, stripes.T) == pytest.approx(0, abs=1e-12)

    def test_constant_images(self) -> None:
        constant = np.full((20, 20), 0.1)
        textured = np.arange(400.0).reshape(20, 20)
        assert math.isnan(correlation(constant, textured))
        assert math.isnan(correlation(textured, constant))
        assert math.isnan(correlation(constant, constant))
        assert ssim(constant, constant, data_range=1) == pytest.approx(1)

    def test_ssim_of_two_constants_is_the_luminance_term(self) -> None:
        a, b, c1 = 0.2, 0.7, 0.01**2
        similarity = ssim(np.full((16, 16), a), np.full((16, 16), b), data_range=1)
        assert similarity == pytest.approx((2 * a * b + c1) / (a**2 + b**2 + c1))

    def test_tiny_intensities(self) -> None:
        truth = noisy_pair()[1]
        assert correlation(truth * 1e-200, truth * 1e-200) == pytest.approx(1)
        assert psnr(truth * 1e-200, truth * 2e-200, data_range=1) == math.inf

    def test_images_that_cannot_be_compared(self) -> None:
        image = np.zeros((16, 16))
        with pytest.raises(ValueError, match="not 16 x 16 with 16 x 12 pixels"):
            rmse(image, np.zeros((16, 12)))
        with pytest.raises(ValueError, match="A 2D image"):
            correlation(image[np.newaxis], image[np.newaxis])
        with pytest.raises(ValueError, match="A 2D image"):
            rmse(np.zeros((0, 4)), np.zeros((0, 4)))
        with pytest.raises(ValueError, match="not finite"):
            ssim(image, np.full((16, 16), math.nan), data_range=1)
        with pytest.raises(ValueError, match="at least 11 x 11 pixels, not 10 x 16"):
            ssim(image[:10], image[:10], data_range=1)
        for data_range in (0, -1, math.nan):
            with pytest.raises(ValueError, match="The data range is"):
                psnr(image, image, data_range=data_range)
            with pytest.raises(ValueError, match="The data range is"):
                ssim(image, image, data_range=data_range)


class TestBestFocus:
    Z_UM = np.arange(-10, 10.5, 0.5)

    def stack(self, focus_um: list[float], positions: np.ndarray, z_um: np.ndarray) -> np.ndarray:
        planes = np.full((len(z_um), 96, 128), 7.0)
        for focus, position in zip(focus_um, positions, strict=True):
            sigma_px = np.sqrt(1.2**2 + (0.9 * (z_um - focus)) ** 2)
            planes += 5000 * gaussian((96, 128), tuple(position), sigma_px)
        return planes

    positions = np.array([[24.3, 30.0], [60.7, 40.2], [50.0, 100.4]])
    focus_um: tuple[float, ...] = (-3.37, 0.0, 6.12)

    def test_depth_between_planes(self) -> None:
        stack = self.stack(list(self.focus_um), self.positions, self.Z_UM)
        found = best_focus_um(stack, self.Z_UM, self.positions)
        assert found == pytest.approx(self.focus_um, abs=0.05)

    def test_noise_and_16_bit(self) -> None:
        stack = self.stack(list(self.focus_um), self.positions, self.Z_UM)
        counts = np.random.default_rng(2).poisson(stack).astype(np.uint16)
        found = best_focus_um(counts, self.Z_UM, self.positions)
        assert found == pytest.approx(self.focus_um, abs=0.25)

    def test_falling_and_uneven_depths(self) -> None:
        uneven = np.sort(np.concatenate([self.Z_UM, [-3.2, 0.1, 6.4]]))
        for z_um in (self.Z_UM[::-1], uneven):
            stack = self.stack(list(self.focus_um), self.positions, z_um)
            assert best_focus_um(stack, z_um, self.positions) == pytest.approx(
                self.focus_um, abs=0.05
            )

    def test_a_parabola_is_found_exactly(self) -> None:
        z_um = np.array([0.0, 1.0, 2.5, 3.0])
        stack = np.zeros((4, 40, 40))
        stack[:, 20, 20] = 10 - (z_um - 1.8) ** 2
        assert best_focus_um(stack, z_um, [[20, 20]], radius_px=1) == pytest.approx([1.8])

    def test_a_brightening_background_does_not_shift_the_focus(self) -> None:
        stack = self.stack(list(self.focus_um), self.positions, self.Z_UM)
        stack += 1000 * np.arange(len(self.Z_UM))[:, np.newaxis, np.newaxis]
        found = best_focus_um(stack, self.Z_UM, self.positions)
        assert found == pytest.approx(self.focus_um, abs=0.05)

    def test_focus_outside_the_stack_and_no_bead(self) -> None:
        stack = self.stack([-14.0], self.positions[:1], self.Z_UM)
        found = best_focus_um(stack, self.Z_UM, [self.positions[0], (80, 110)])
        assert np.isnan(found[0])
        assert np.isnan(best_focus_um(np.ones((5, 40, 40)), range(5), [[20, 20]])).all()

    def test_no_beads_and_beads_at_the_corner(self) -> None:
        assert best_focus_um(np.ones((5, 40, 40)), range(5), np.empty((0, 2))).shape == (0,)
        stack = self.stack([2.2], np.array([[0.0, 0.0]]), self.Z_UM)
        assert best_focus_um(stack, self.Z_UM, [[0, 0]]) == pytest.approx([2.2], abs=0.05)

    def test_wrong_arguments(self) -> None:
        stack, z_um = np.zeros((5, 40, 40)), np.arange(5)
        with pytest.raises(ValueError, match="at least 3 planes"):
            best_focus_um(stack[:2], z_um[:2], [[1, 1]])
        for depths in (z_um[:4], [0, 1, 1, 2, 3]):
            with pytest.raises(ValueError, match="all rising or all falling"):
                best_focus_um(stack, depths, [[1, 1]])
        with pytest.raises(ValueError, match=r"1 bead\(s\) lie outside the image of 40 x 40"):
            best_focus_um(stack, z_um, [[1, 1], [40, 3]])
        with pytest.raises(ValueError, match="rows of"):
            best_focus_um(stack, z_um, [1, 1])
        with pytest.raises(ValueError, match="choose at least one pixel"):
            best_focus_um(stack, z_um, [[1, 1]], radius_px=0.5)
        with pytest.raises(ValueError, match="too small for a circle"):
            best_focus_um(stack[:, :6, :6], z_um, [[3, 3]])
        with pytest.raises(ValueError, match="not finite"):
            best_focus_um(stack * math.nan, z_um, [[1, 1]])


class TestHalfLightDiameter:
    @pytest.mark.parametrize("sigma_px", [0.8, 1.0, 1.7, 3.0])
    @pytest.mark.parametrize("centre", [(40.0, 40.0), (39.6, 41.3), (40.5, 39.5)])
    def test_gaussian(self, sigma_px: float, centre: tuple[float, float]) -> None:
        image = 100 + 3000 * gaussian((81, 81), centre, sigma_px)
        measured = half_light_diameter_um(image, [(40, 40)], 0.325, search_radius_um=5)
        expected = HALF_LIGHT_OF_GAUSSIAN * sigma_px * 0.325
        assert measured == pytest.approx([expected], rel=0.03)

    def test_a_ring_is_measured_at_its_radius(self) -> None:
        y, x = np.indices((81, 81))
        image = np.exp(-((np.hypot(y - 40, x - 40) - 8) ** 2) / 2)
        measured = half_light_diameter_um(image, [(41, 38)], 0.325, search_radius_um=5)
        assert measured == pytest.approx([2 * 8 * 0.325], rel=0.03)

    def test_two_spots_are_measured_about_their_common_centroid(self) -> None:
        image = gaussian((81, 81), (40, 36), 0.8) + gaussian((81, 81), (40, 44), 0.8)
        measured = half_light_diameter_um(image, [(40, 36)], 1.0, search_radius_um=14)
        assert measured == pytest.approx([8], rel=0.05)

    def test_noise(self) -> None:
        rng = np.random.default_rng(5)
        centres = [(y, x) for y in (30, 90, 150) for x in (30, 90, 150)]
        clean = 100 + sum(20_000 * gaussian((181, 181), at, 1.3) for at in centres)
        counts = rng.poisson(clean).astype(np.uint16)
        measured = half_light_diameter_um(counts, centres, 0.325, search_radius_um=3)
        assert measured == pytest.approx(np.full(9, HALF_LIGHT_OF_GAUSSIAN * 1.3 * 0.325), rel=0.08)
        assert measured.mean() == pytest.approx(HALF_LIGHT_OF_GAUSSIAN * 1.3 * 0.325, rel=0.02)

    def test_beads_that_cannot_be_measured(self) -> None:
        image = gaussian((81, 81), (5, 40), 1.0)
        measured = half_light_diameter_um(image, [(5, 40), (60, 40)], 0.325, search_radius_um=5)
        assert np.isnan(measured).all()
        assert np.isnan(half_light_diameter_um(np.ones((81, 81)), [(40, 40)], 0.325)).all()
        assert np.isnan(half_light_diameter_um(gaussian((9, 9), (4, 4), 1), [(4, 4)], 0.325)).all()
        assert half_light_diameter_um(image, np.empty((0, 2)), 0.325).shape == (0,)

    def test_wrong_arguments(self) -> None:
        image = np.zeros((40, 40))
        with pytest.raises(ValueError, match="The pixel size is 0"):
            half_light_diameter_um(image, [(20, 20)], 0)
        with pytest.raises(ValueError, match="less than two pixels"):
            half_light_diameter_um(image, [(20, 20)], 0.325, search_radius_um=0.5)
        with pytest.raises(ValueError, match="outside the image"):
            half_light_diameter_um(image, [(20, 41)], 0.325)
