"""Frames of a series that share one fit of their intensities."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.engine.refocus import EncodedImage
from napari_deepz.intensity import fit_intensity, fit_series_intensity
from napari_deepz.models.package import Model
from napari_deepz.surfaces import Flat, Tilted

CELLS = {"quiet": (24, 30), "blinking": (130, 150)}


@pytest.fixture
def frames(rng: np.random.Generator) -> list[np.ndarray]:
    """Two cells on a noisy ground that is the same in all frames; the other one blinks."""
    y, x = np.mgrid[:160, :192]
    ground = rng.normal(100, 3, (160, 192))

    def cell(name: str, height: float) -> np.ndarray:
        row, column = CELLS[name]
        return height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 60)

    return [ground + cell("quiet", 400) + cell("blinking", height) for height in (0, 900, 5000)]


def around(plane: np.ndarray, name: str) -> np.ndarray:
    row, column = CELLS[name]
    return plane[row - 6 : row + 7, column - 6 : column + 7]


@pytest.mark.parametrize("surface", [Flat(3), Tilted(2, -1, 1)])
def test_with_one_fit_a_blinking_cell_changes_no_other(
    frames: list[np.ndarray], surface: Flat | Tilted, tiny_model: Model
) -> None:
    shared = fit_series_intensity(tiny_model.spec.normalisation, frames)
    together, alone = (
        [
            EncodedImage(frame, tiny_model, pixel_size_um=0.325, intensity=fit).refocus(surface)
            for frame in frames
        ]
        for fit in (shared, None)
    )
    first = around(together[0].data[0], "quiet")
    for stack in together[1:]:
        np.testing.assert_array_equal(around(stack.data[0], "quiet"), first)
        assert not np.array_equal(around(stack.data[0], "blinking"), first)
    change = around(alone[2].data[0], "quiet") / around(alone[0].data[0], "quiet") - 1
    assert np.abs(change).max() > 1e-3


def test_the_fit_of_a_series_of_one_is_that_of_the_image(frames: list[np.ndarray]) -> None:
    for method in ("signed-sqrt", "median-p99", "mean-std", "percentiles-1-99.8", "as-is"):
        assert fit_series_intensity(method, frames[:1]) == fit_intensity(method, frames[0])


def test_a_series_is_measured_on_all_of_its_frames(frames: list[np.ndarray]) -> None:
    fitted = fit_series_intensity("mean-std", frames)
    pixels = np.stack(frames).astype(np.float32)
    assert fitted.offset == pytest.approx(pixels.mean(dtype=np.float64))
    assert fitted.gain == pytest.approx(pixels.std(dtype=np.float64), rel=1e-6)
    with pytest.raises(ValueError, match="no frame"):
        fit_series_intensity("mean-std", [])
