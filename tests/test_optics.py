from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.optics import Optics

DRY = Optics(na=0.75, wavelength_um=0.52, pixel_size_um=0.325)


def test_no_aberration_without_depth_or_without_mismatch() -> None:
    assert DRY.depth_aberration_waves(0) == pytest.approx((0, 0), abs=1e-12)
    water = Optics(0.75, 0.52, 0.325, n_immersion=1.33, n_sample=1.33)
    assert water.depth_aberration_waves(50) == pytest.approx((0, 0), abs=1e-9)


def test_depth_aberration_grows_with_depth_and_matches_the_series() -> None:
    shallow, deep = (DRY.depth_aberration_waves(d)[0] for d in (10, 40))
    assert deep == pytest.approx(4 * shallow)
    # For a small aperture: path d sqrt(n² - s²) has -d s⁴ / 8 n³, refocusing adds its own
    # s⁴ / 8 times d / n; the coefficient of Z(4,0) is a sixth of that of ρ⁴.
    low = Optics(0.1, 0.52, 0.325)
    quartic = 1000 * 0.1**4 / 8 * (1 / 1.33 - 1 / 1.33**3)
    assert low.depth_aberration_waves(1000)[0] == pytest.approx(quartic / 6 / 0.52, rel=0.02)


@pytest.mark.parametrize("na", [0, -1, 1.2])
def test_impossible_aperture(na: float) -> None:
    with pytest.raises(ValueError, match="numerical aperture"):
        Optics(na, 0.52, 0.325)


def test_impossible_lengths() -> None:
    with pytest.raises(ValueError, match="positive numbers of µm"):
        Optics(0.75, 0.52, np.float64(0))
