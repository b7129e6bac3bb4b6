"""What is not a number in a model's output is said, and refused where nothing else is there."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.finishing import OutputError, on_image_grid
from napari_deepz.engine.refocus import Budget, iter_refocus, refocus
from napari_deepz.engine.resampling import resample
from napari_deepz.surfaces import Flat
from tests.engine.fake_generators import PIXEL_SIZE_UM, AddDistance, model_of

IMAGE = np.random.default_rng(4).integers(100, 4000, (64, 80)).astype(np.uint16)


class Breaks(AddDistance):
    """Gives a value in place of the output's first rows, from 1 µm on."""

    def __init__(self, value: float, rows: int | None) -> None:
        super().__init__()
        self.value = value
        self.rows = rows

    def decode(self, code: torch.Tensor, dpm_um: torch.Tensor) -> torch.Tensor:
        output = super().decode(code, dpm_um)
        if dpm_um[0, 0, 0, 0] >= 1:
            output[:, :, : self.rows] = self.value
        return output


def run(network: Any, **settings: Any) -> Any:
    settings = {"pixel_size_um": PIXEL_SIZE_UM} | settings
    return refocus(IMAGE, Flat(-1, 2, 1), model_of(network), **settings)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("budget", [Budget(), Budget(code_bytes=0)], ids=["hold", "spool"])
def test_pixels_that_are_not_finite_are_said_once_and_of_the_first_plane(
    value: Any, budget: Budget
) -> None:
    stack = run(Breaks(value, 2), budget=budget)
    assert len(stack.notes) == 1
    assert "'known' gives NaN or infinity for 160 pixels of plane 3 of 4" in stack.notes[0]
    assert "napari-deepz models test" in stack.notes[0]
    broken = np.zeros(stack.data.shape, bool)
    broken[2:, :2] = True
    np.testing.assert_array_equal(~np.isfinite(stack.data), broken)
    np.testing.assert_array_equal(stack.data[:2], run(AddDistance()).data[:2])


def test_the_planes_before_know_nothing_of_it_and_all_after_do() -> None:
    model = model_of(Breaks(np.nan, 1))
    planes = list(iter_refocus(IMAGE, Flat(-1, 2, 1), model, pixel_size_um=PIXEL_SIZE_UM))
    assert "for 80 pixels of plane 3 of 4" in planes[-1].notes[0]
    assert [len(plane.notes) for plane in planes] == [0, 0, 1, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("pixel_size_um", [PIXEL_SIZE_UM, 0.8])
def test_a_plane_without_a_number_is_refused_in_a_sentence(value: Any, pixel_size_um: Any) -> None:
    sentence = "'known' gives NaN or infinity, no numbers, for all pixels of plane 3 of 4; check"
    with pytest.raises(OutputError, match=sentence):
        run(Breaks(value, None), pixel_size_um=pixel_size_um)


def test_fewer_digits_are_named_as_the_cause() -> None:
    with pytest.raises(OutputError, match="plane 3 of 4; use the precision 'float32'"):
        run(Breaks(np.nan, None), compute=Compute(precision="bfloat16"))


def test_weights_that_overflow_are_said_and_not_written() -> None:
    network = AddDistance(slope=3e38)
    with pytest.raises(OutputError, match="for all pixels of plane 1 of 4"):
        run(network)


@pytest.mark.parametrize("shape", [(40, 50), (130, 61), (64, 80)])
def test_a_broken_pixel_spoils_its_neighbours_alone_on_another_grid(shape: tuple[int, int]) -> None:
    canvas = IMAGE.astype(np.float32)
    whole = resample(canvas, shape)
    canvas[30, 40] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = on_image_grid(canvas, shape)
    rows, columns = np.nonzero(~np.isfinite(data))
    assert 1 <= rows.size <= 25
    assert np.hypot(rows / shape[0] - 30.5 / 64, columns / shape[1] - 40.5 / 80).max() < 0.06
    far = np.abs(np.arange(shape[0]) / shape[0] - 30.5 / 64) > 0.3
    np.testing.assert_allclose(data[far], whole[far], atol=1)
