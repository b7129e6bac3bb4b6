"""Simulated stacks that no training saw, on the models' pixel grid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from napari_deepz.optics import Optics
from napari_deepz.pupil import Aberrations
from napari_deepz.training.config import read_config
from napari_deepz.training.dataset import FocalStack
from napari_deepz.training.phantoms import Kind
from napari_deepz.training.simulated import stack_settings
from napari_deepz.training.simulation import SimulatedStack, StackSettings, simulate

PIXEL_UM = 0.325
TRAINING = Path(__file__).parents[2] / "training" / "widefield-20x.toml"

# None of them is a seed of a training, of its validation, of the samples or of a test, but for
# that of the tilted fields: there the numbers are to be compared with those of docs/trials.md.
BEAD_SIZE_SEED = 204
LIMITS_SEED = 205
TILTED_SEED = 77

TILT_RISE_UM = 8.0
LIMITS_KINDS: tuple[Kind, ...] = ("beads", "neurons", "worm")
LIMITS_PUPILS = 3
MAX_LIMITS_STACKS = 6


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A simulated focal stack and what made it.

    Parameters
    ----------
    measured, target : ndarray
        (Z, Y, X) with and without noise, counts, pixels of `PIXEL_UM`.
    z_um : ndarray
        (Z,) focus of each plane; the input image has focus 0.
    centres : ndarray
        (M, 3) compact objects: z in µm, y and x in pixels of this grid.
    optics, aberrations : Optics, Aberrations
        The microscope.
    """

    measured: np.ndarray
    target: np.ndarray
    z_um: np.ndarray
    centres: np.ndarray
    optics: Optics
    aberrations: Aberrations

    @classmethod
    def from_simulation(cls, simulated: SimulatedStack) -> HeldOut:
        """Bring a simulated stack onto the models' grid, as the training does."""
        stack = FocalStack.from_simulation(simulated, PIXEL_UM)
        # The outer edges of both grids coincide.
        scale = np.array(stack.measured.shape[1:]) / simulated.measured.shape[1:]
        centres = simulated.centres.copy()
        centres[:, 1:] = (centres[:, 1:] + 0.5) * scale - 0.5
        return cls(
            measured=stack.measured,
            target=stack.target,
            z_um=simulated.z_um,
            centres=centres,
            optics=simulated.optics,
            aberrations=simulated.aberrations,
        )

    @property
    def image(self) -> np.ndarray:
        """The noisy plane in the middle, which is all that a method sees."""
        return self.measured[len(self.measured) // 2]

    def truth(self, z_um: np.ndarray) -> np.ndarray:
        """Noise-free planes at distances from the input."""
        planes = [int(np.argmin(np.abs(self.z_um - z))) for z in z_um]
        if not np.allclose(self.z_um[planes], z_um, atol=1e-6):
            raise ValueError("The stack has no planes at some of these distances.")
        return self.target[planes]

    @cached_property
    def data_range(self) -> float:
        """From the 0.1st to the 99.9th percentile of the true stack, as in `evaluate`."""
        low, high = np.percentile(self.target, [0.1, 99.9])
        return float(high - low)


@dataclass(frozen=True)
class SetOf:
    """A held-out set.

    Parameters
    ----------
    name, seed, kinds
        What it is called, and what is simulated.
    """

    name: str
    seed: int
    kinds: tuple[Kind, ...]

    def stacks(self, count: int) -> Iterator[HeldOut]:
        """Simulate it, each stack with a microscope of its own."""
        simulated = simulate(count, self.seed, as_trained(), kinds=self.kinds)
        return map(HeldOut.from_simulation, simulated)


HELD_OUT = (
    SetOf("beads", 201, ("beads", "tilted-beads", "curved-beads", "sparse-beads")),
    SetOf("neurons", 202, ("neurons", "head")),
    SetOf("worm", 203, ("worm",)),
)


def as_trained() -> StackSettings:
    """Microscopes, cameras and samples as broad as in the training of the default model."""
    config = read_config(TRAINING)
    return stack_settings(config.model, config.data.breadth)


def bead_size_stacks(count: int) -> Iterator[HeldOut]:
    """Beads bright enough for their size to be measured, on tilted planes and anywhere."""
    settings = as_trained()
    settings = replace(
        settings,
        photons=(1000.0, settings.photons[1]),
        camera=replace(settings.camera, saturated_share=0.0),
    )
    kinds: tuple[Kind, ...] = ("tilted-beads", "beads", "sparse-beads")
    return map(HeldOut.from_simulation, simulate(count, BEAD_SIZE_SEED, settings, kinds=kinds))


def tilted_stacks(count: int) -> Iterator[HeldOut]:
    """Beads on planes that rise by `TILT_RISE_UM` from left to right, 20x/0.75."""
    settings = StackSettings(half_range_um=10, z_step_um=0.5)
    fields = simulate(
        count, TILTED_SEED, settings, kinds=("tilted-beads",), tilt_span_um=TILT_RISE_UM
    )
    return map(HeldOut.from_simulation, fields)


@dataclass(frozen=True)
class Limit:
    """Conditions under which refocusing is expected to fail, or not.

    Parameters
    ----------
    what : str
        Said in the report.
    settings, kinds
        What is simulated.
    z_um : tuple of float
        Distances to look at.
    other_side : bool
        Whether the stack was taken from the other side: what is asked for at +z is found at -z.
    """

    what: str
    settings: StackSettings
    kinds: tuple[Kind, ...] = LIMITS_KINDS
    z_um: tuple[float, ...] = (-8.0, -4.0, 4.0, 8.0)
    other_side: bool = False

    def stacks(self, count: int) -> Iterator[HeldOut]:
        """Simulate them; the seed is the same for all limits, so the samples are alike."""
        count = min(count, MAX_LIMITS_STACKS)
        simulated = simulate(
            count, LIMITS_SEED, self.settings, kinds=self.kinds, pupils=LIMITS_PUPILS
        )
        return map(HeldOut.from_simulation, simulated)


def limits() -> tuple[Limit, ...]:
    """Where refocusing is expected to fail, after a row to compare with."""
    settings = as_trained()
    one = replace(settings, na=None, pixel_size_um=None)
    wide = replace(settings, half_range_um=16.0)
    water = replace(one.optics, na=1.2, n_immersion=one.optics.n_sample)
    if not math.isclose(settings.optics.pixel_size_um, PIXEL_UM):
        raise ValueError(f"{TRAINING} is for another pixel size than {PIXEL_UM} µm.")
    return (
        Limit("Nothing out of the ordinary: beads, neurons, worms", settings),
        Limit("Dense structure: 160 to 500 beads in 83 x 83 µm", settings, ("dense-beads",)),
        Limit("Low light: 30 to 100 photons", replace(settings, photons=(30.0, 100.0))),
        Limit("Wrong objective: NA 0.4, air", replace(one, optics=replace(one.optics, na=0.4))),
        Limit(
            "Wrong objective: NA 1.2, water, no aberration from depth", replace(one, optics=water)
        ),
        Limit("Sample from the other side: z reversed", settings, other_side=True),
        Limit("Far out of range", wide, z_um=(-15.0, -12.0, 12.0, 15.0)),
    )
