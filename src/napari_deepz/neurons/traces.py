"""Neurons with their traces, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_deepz.neurons.activity import Activity
from napari_deepz.neurons.editing import Neurons
from napari_deepz.provenance import Provenance

Array = NDArray[np.float64]

LightFrom = Literal["measured frames", "virtual planes"]


@dataclass(frozen=True, eq=False)
class NeuronTraces:
    """What was found in a movie.

    Attributes
    ----------
    neurons : Neurons
        Which they are, and where; inferred, where no person has put them there.
    tracks_um : ndarray
        (T, N, 3) where they are in each frame.
    t_s : ndarray
        (T,) time of each frame.
    rate_hz : float or None
        Frames per second; None where unknown, and times are numbers of frames.
    activity : Activity
        F, F0, dF/F and events, (N, T).
    error : ndarray
        (N,) standard error of F in a frame.
    separable : ndarray
        (N,) bool, whether the light of a neuron at rest can be told from that of its neighbours.
    record : Provenance
        How they were found and measured, with what the user must know.
    light_from : {"measured frames", "virtual planes"}
        What the light was read off.
    """

    neurons: Neurons
    tracks_um: Array
    t_s: Array
    rate_hz: float | None
    activity: Activity
    error: Array
    separable: NDArray[np.bool_]
    record: Provenance
    light_from: LightFrom = "measured frames"

    def __len__(self) -> int:
        """Count the neurons."""
        return len(self.neurons)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user must know, a sentence each."""
        return self.record.notes

    @property
    def places_um(self) -> Array:
        """(N, 3) z, y and x from the centre of the first pixel; z from the plane at 0 µm."""
        return self.neurons.places_um

    @property
    def snr(self) -> Array:
        """(N,) median light at rest over its error in a frame."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.nanmedian(self.activity.rest, axis=1) / self.error)

    def inferred(self, row: int) -> str:
        """What of a neuron is inferred and not measured."""
        position = not self.neurons.by_hand[row]
        light = self.light_from == "virtual planes"
        parts = [name for name, is_so in (("position", position), ("light", light)) if is_so]
        return " and ".join(parts) or "nothing"
