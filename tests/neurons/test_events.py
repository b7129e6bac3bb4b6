"""Rises of dF/F, against traces of which the rises are known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_deepz.neurons.events import find_events
from napari_deepz.training.movies.scene import MovieSettings
from napari_deepz.training.movies.simulation import simulate_movie

RATE_HZ = 4.0


def decays(begins: list[int], count: int, height: float) -> np.ndarray:
    """Steps up that decay within 1.2 s."""
    t = np.arange(count)
    after = [np.where(t >= at, np.exp(-(t - at) / RATE_HZ / 1.2), 0) for at in begins]
    return height * np.sum(after, axis=0)


def test_a_rise_is_found_in_the_frame_in_which_it_begins() -> None:
    dff = decays([20, 60, 75], 120, 1.0)[None]
    assert np.flatnonzero(find_events(dff, RATE_HZ)).tolist() == [20, 60, 75]


def test_noise_alone_is_no_event(rng: np.random.Generator) -> None:
    noise = rng.normal(0, 0.2, (50, 2000))
    events = find_events(noise, RATE_HZ)
    assert (events > 0).sum() <= 5  # 4.5 standard deviations in 100 000 frames
    dff = noise[:1, :200] + decays([50, 120], 200, 2.0)
    assert np.flatnonzero(find_events(dff, RATE_HZ)).tolist() == [50, 120]


def test_frames_of_which_nothing_is_known_have_no_events() -> None:
    dff = decays([20, 60], 120, 1.0)[None]
    dff[0, 50:70] = np.nan
    assert np.flatnonzero(find_events(dff, RATE_HZ)).tolist() == [20]
    assert not find_events(np.full((1, 30), np.nan), RATE_HZ).any()
    assert not find_events(np.ones((2, 2)), None).any()


def test_events_of_simulated_neurons_are_found() -> None:
    pytest.importorskip("psf_generator", reason="needs napari-deepz[train]")
    truth = simulate_movie("sparse", MovieSettings(size_px=192), 4).dff
    rises = np.diff(truth, axis=1)
    rng = np.random.default_rng(0)
    found = find_events(truth + rng.normal(0, 0.05, truth.shape), RATE_HZ) > 0
    begins = np.zeros(truth.shape, bool)
    begins[:, 1:] = (rises > 0.4) & np.pad(rises[:, :-1] <= 0.4, ((0, 0), (1, 0)))
    near = np.zeros(truth.shape, bool)
    for shift in (-2, -1, 0, 1, 2):
        near |= np.roll(found, shift, axis=1)
    assert begins.sum() > 20
    assert (near & begins).sum() / begins.sum() > 0.9
    silent = truth.max(axis=1) < 0.1
    assert found[silent].sum() == 0
