from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.resampling import LINEAR, resample


def positions(size: int, pixel_um: float) -> Any:
    return (np.arange(size) + 0.5) * pixel_um


@pytest.mark.parametrize(("shape", "pixel_um"), [((120, 162), 0.5), ((40, 54), 1.5)])
def test_a_smooth_image_keeps_its_values_at_every_place(
    shape: tuple[int, int], pixel_um: float
) -> None:
    def image(shape: Any, pixel_um: float) -> np.ndarray:
        y, x = positions(shape[0], pixel_um), positions(shape[1], pixel_um)
        wave = np.sin(y[:, None] / 9) * np.cos(x[None, :] / 7)
        return (100 + 50 * wave).astype(np.float32)

    source = image((60, 81), 1.0)
    resampled = resample(source, shape)
    assert resampled.shape == shape
    assert resampled.dtype == np.float32
    inner = (slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(resampled[inner], image(shape, pixel_um)[inner], atol=1.5)


def test_detail_finer_than_the_new_pixels_is_averaged_not_aliased() -> None:
    stripes = np.tile(np.array([0, 1], dtype=np.float32), (96, 48))
    assert np.ptp(resample(stripes, (36, 36))[4:-4, 4:-4]) < 0.2


def test_distances_do_not_overshoot() -> None:
    step_um = np.zeros((40, 40), dtype=np.float32)
    step_um[:, 20:] = 10
    resampled = resample(step_um, (97, 97), order=LINEAR)
    assert resampled.min() == 0
    assert resampled.max() == 10


def test_the_same_shape_is_the_same_image() -> None:
    image = np.ones((40, 40), dtype=np.float32)
    assert resample(image, (40, 40)) is image
