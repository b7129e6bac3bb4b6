"""Simulated focal stacks: phantom -> optics -> camera.

The chain, each stage with its axes and units:

1. `phantoms.draw_phantom`: points (z, y, x) in µm.
2. `splat`: the points on the camera's grid, (Z, Y, X), relative photons per voxel.
3. `Microscope.expose`: summed over depth with the PSF at each focus, (Z, Y, X), noise-free.
4. `Camera.record`: photons, Poisson and read noise, offset, 16 bit, (Z, Y, X) uint16.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_deepz.optics import Optics
from napari_deepz.pupil import Aberrations
from napari_deepz.training.phantoms import KINDS, Kind, Phantom, draw_phantom
from napari_deepz.training.psf import focal_psf

_MARGIN_PX = 64
_OBJECT_BEYOND_STACK_UM = 1.0
_PSF_HALF_WIDTH_PX, _PSF_HALF_WIDTH_UM = 96, 31.2
_OTHER_PIXELS_SHARE = 0.5
_MOST_PUPILS = 40
_DRY_20X = Optics(na=0.75, wavelength_um=0.52, pixel_size_um=0.325)


@dataclass(frozen=True)
class Camera:
    """An sCMOS camera: Poisson noise, read noise, offset, saturation and 16-bit conversion."""

    gain_adu_per_photon: float = 2.0
    offset_adu: float = 100.0
    read_noise_photons: float = 3.0
    highest_adu: float = 65535.0

    def expected(self, photons: NDArray[np.float32]) -> NDArray[np.float32]:
        """Counts without noise, in ADU."""
        counts = photons * np.float32(self.gain_adu_per_photon) + np.float32(self.offset_adu)
        clipped: NDArray[np.float32] = counts.clip(max=np.float32(self.highest_adu))
        return clipped

    def record(self, photons: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint16]:
        """Counts with noise, clipped to 16 bit, in ADU."""
        noisy = rng.poisson(photons) + rng.normal(0, self.read_noise_photons, photons.shape)
        counts = np.rint(noisy * self.gain_adu_per_photon + self.offset_adu)
        return np.clip(counts, 0, self.highest_adu).astype(np.uint16)


@dataclass(frozen=True)
class CameraSettings:
    """Ranges to draw cameras from; by default there is one camera.

    Parameters
    ----------
    gain_adu_per_photon : tuple of float
        Drawn evenly in its logarithm; lowered where the brightest voxels would not fit 16 bits.
    offset_adu, read_noise_photons : tuple of float
        Drawn evenly.
    saturated_share : float
        Share of the stacks in which what is brightest saturates the camera.
    """

    gain_adu_per_photon: tuple[float, float] = (2.0, 2.0)
    offset_adu: tuple[float, float] = (100.0, 100.0)
    read_noise_photons: tuple[float, float] = (3.0, 3.0)
    saturated_share: float = 0.0

    def draw(self, photons: float, background: float, rng: np.random.Generator) -> Camera:
        """Draw a camera for a stack with so many photons in its brightest voxels, and outside."""
        gain = float(np.exp(rng.uniform(*np.log(self.gain_adu_per_photon))))
        offset = float(rng.uniform(*self.offset_adu))
        gain = min(gain, (65535.0 - offset) / (photons + background))
        saturated = rng.uniform() < self.saturated_share
        full_photons = background + photons * rng.uniform(0.3, 0.9)
        highest = np.rint(offset + gain * full_photons) if saturated else 65535.0
        return Camera(gain, offset, float(rng.uniform(*self.read_noise_photons)), float(highest))


@dataclass(frozen=True)
class StackSettings:
    """What a simulated focal stack looks like.

    Parameters
    ----------
    optics : Optics
        The microscope; the default is the 20x/0.75 dry objective of the bundled generator.
    size_px : int
        Height and width of the stack.
    half_range_um, z_step_um : float
        The focus goes from minus to plus the half range.
    depth_um : tuple of float
        Depths below the cover glass to draw from: their Gibson-Lanni aberration tells +z from -z.
    coma_waves, astigmatism_waves : float
        Largest random aberration of either kind.
    photons : tuple of float
        Range of the photons in the brightest voxels, drawn evenly in its logarithm.
    background_photons : tuple of float
        Range of the even background per pixel.
    na, pixel_size_um : tuple of float or None
        Ranges that each pupil's own microscope is drawn from; that of `optics` where None. Half
        of the microscopes keep the pixel size of `optics`; the stacks of the others have as many
        pixels as cover the same field.
    camera : CameraSettings
        What cameras to draw from.
    """

    optics: Optics = _DRY_20X
    size_px: int = 256
    half_range_um: float = 11.0
    z_step_um: float = 0.5
    depth_um: tuple[float, float] = (10.0, 50.0)
    coma_waves: float = 0.35
    astigmatism_waves: float = 0.1
    photons: tuple[float, float] = (300.0, 12_000.0)
    background_photons: tuple[float, float] = (5.0, 60.0)
    na: tuple[float, float] | None = None
    pixel_size_um: tuple[float, float] | None = None
    camera: CameraSettings = CameraSettings()

    @property
    def z_um(self) -> NDArray[np.float64]:
        """Focus of each plane, µm."""
        half = round(self.half_range_um / self.z_step_um)
        return np.arange(-half, half + 1).astype(np.float64) * self.z_step_um


@dataclass(frozen=True)
class SimulatedStack:
    """A focal stack as a camera would have taken it, with the truth behind it.

    Parameters
    ----------
    measured : ndarray
        (Z, Y, X) uint16 counts.
    expected : ndarray
        (Z, Y, X) float32 counts without noise.
    z_um : ndarray
        (Z,) focus of each plane.
    centres : ndarray
        (M, 3) compact objects in the field: z in µm, y and x in pixels.
    kind : str
        The phantom.
    aberrations : Aberrations
        The pupil.
    optics : Optics
        The microscope.
    """

    measured: NDArray[np.uint16]
    expected: NDArray[np.float32]
    z_um: NDArray[np.float64]
    centres: NDArray[np.float64]
    kind: Kind
    aberrations: Aberrations
    optics: Optics


class Microscope:
    """One pupil and the transfer functions through focus that belong to it."""

    def __init__(self, settings: StackSettings, aberrations: Aberrations) -> None:
        self.settings = settings
        self.aberrations = aberrations
        self._canvas_px = settings.size_px + 2 * _MARGIN_PX
        object_half = round(self.object_half_depth_um / settings.z_step_um)
        stack_half = round(settings.half_range_um / settings.z_step_um)
        self._object_planes = 2 * object_half + 1
        psf_planes = 2 * (object_half + stack_half) + 1
        psf = focal_psf(
            settings.optics,
            aberrations,
            half_range_um=(psf_planes // 2) * settings.z_step_um,
            z_step_um=settings.z_step_um,
            half_width_px=max(
                _PSF_HALF_WIDTH_PX,
                round(_PSF_HALF_WIDTH_UM / settings.optics.pixel_size_um),
            ),
        )
        # Circular in z is enough: the planes wanted are not touched by what wraps around.
        self._fft_planes = scipy.fft.next_fast_len(psf_planes, real=True)
        padded = np.zeros((self._fft_planes, self._canvas_px, self._canvas_px), np.float32)
        crop = max(0, (psf.shape[1] - self._canvas_px + 1) // 2)
        psf = psf[:, crop : psf.shape[1] - crop, crop : psf.shape[2] - crop]
        padded[: psf.shape[0], : psf.shape[1], : psf.shape[2]] = psf
        padded = np.roll(padded, (-(psf.shape[1] // 2), -(psf.shape[2] // 2)), axis=(1, 2))
        self._transfer = scipy.fft.rfftn(padded, workers=-1)

    @property
    def object_half_depth_um(self) -> float:
        """Objects further out than this are not seen, µm."""
        return self.settings.half_range_um + _OBJECT_BEYOND_STACK_UM

    @property
    def canvas_um(self) -> float:
        """Side of the simulated field, margins included, µm."""
        return self._canvas_px * self.settings.optics.pixel_size_um

    def expose(self, phantom: Phantom) -> NDArray[np.float32]:
        """Image a phantom at every focus, (Z, Y, X) relative photons, without noise."""
        shape = (self._object_planes, self._canvas_px, self._canvas_px)
        pixel = self.settings.optics.pixel_size_um
        volume = splat(phantom, shape, (self.settings.z_step_um, pixel, pixel))
        padded_shape = (self._fft_planes, *shape[1:])
        spectrum = scipy.fft.rfftn(volume, s=padded_shape, workers=-1)
        spectrum *= self._transfer
        planes = scipy.fft.irfftn(spectrum, s=padded_shape, workers=-1, overwrite_x=True)
        first = self._object_planes - 1
        count = len(self.settings.z_um)
        inner = slice(_MARGIN_PX, _MARGIN_PX + self.settings.size_px)
        light: NDArray[np.float32] = planes[first : first + count, inner, inner].clip(min=0)
        return light


def splat(
    phantom: Phantom, shape: tuple[int, int, int], voxel_um: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Share every point's brightness among the eight voxels around it.

    Parameters
    ----------
    phantom : Phantom
        Points in µm from the centre of the volume.
    shape : tuple of int
        (Z, Y, X) of the volume; points outside are left out.
    voxel_um : tuple of float
        (z, y, x) size of a voxel, µm.

    Returns
    -------
    ndarray
        (Z, Y, X) float32.
    """
    centre = (np.array(shape) - 1) / 2
    position = phantom.points_um / voxel_um + centre
    inside = np.all((position >= 0) & (position <= np.array(shape) - 1), axis=1)
    position, brightness = position[inside], phantom.brightness[inside]
    base = np.minimum(np.floor(position).astype(np.int64), np.array(shape) - 2)
    fraction = position - base
    volume = np.zeros(np.prod(shape))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, fraction, 1 - fraction), axis=1)
        index = np.ravel_multi_index(tuple((base + corner).T), shape)
        volume += np.bincount(index, weight * brightness, minlength=volume.size)
    return volume.reshape(shape).astype(np.float32)


def draw_microscope(settings: StackSettings, rng: np.random.Generator) -> StackSettings:
    """Settings with one microscope out of their ranges, and pixels for the same field."""
    optics = settings.optics
    na = optics.na if settings.na is None else float(rng.uniform(*settings.na))
    pixel_um = optics.pixel_size_um
    if settings.pixel_size_um is not None and rng.uniform() < _OTHER_PIXELS_SHARE:
        pixel_um = float(rng.uniform(*settings.pixel_size_um))
    return replace(
        settings,
        optics=replace(optics, na=na, pixel_size_um=pixel_um),
        size_px=round(settings.size_px * optics.pixel_size_um / pixel_um),
    )


def draw_aberrations(settings: StackSettings, rng: np.random.Generator) -> Aberrations:
    """Draw a pupil: depth aberration of one sign, coma in any direction, a little astigmatism."""
    primary, secondary = settings.optics.depth_aberration_waves(rng.uniform(*settings.depth_um))
    coma, coma_angle = rng.uniform(0, settings.coma_waves), rng.uniform(0, 2 * np.pi)
    astigmatism = rng.uniform(-1, 1, 2) * settings.astigmatism_waves
    return Aberrations(
        spherical=primary,
        secondary_spherical=secondary,
        coma_x=coma * np.cos(coma_angle),
        coma_y=coma * np.sin(coma_angle),
        astigmatism=astigmatism[0],
        astigmatism_oblique=astigmatism[1],
    )


def simulate_stack(
    microscope: Microscope,
    kind: Kind,
    rng: np.random.Generator,
    *,
    tilt_span_um: float | None = None,
    camera_rng: np.random.Generator | None = None,
) -> SimulatedStack:
    """Draw a phantom and record its focal stack.

    `tilt_span_um` is the rise of a tilted bead field across the stack's width, if it is not to be
    random. The camera is drawn from `camera_rng`; the default camera is taken where it is None.
    """
    settings = microscope.settings
    pixel = settings.optics.pixel_size_um
    canvas_tilt = (
        None
        if tilt_span_um is None
        else tilt_span_um * microscope.canvas_um / (settings.size_px * pixel)
    )
    phantom = draw_phantom(
        kind,
        rng,
        field_um=microscope.canvas_um,
        half_depth_um=microscope.object_half_depth_um,
        tilt_span_um=canvas_tilt,
    )
    light = microscope.expose(phantom)
    photons = np.exp(rng.uniform(*np.log(settings.photons)))
    light *= np.float32(photons / np.percentile(light.max(axis=0), 99.9))
    background = float(rng.uniform(*settings.background_photons))
    light += np.float32(background)
    camera = Camera()
    if camera_rng is not None:
        camera = settings.camera.draw(photons, background, camera_rng)
    centres = phantom.centres_um.copy()
    centres[:, 1:] = centres[:, 1:] / pixel + (settings.size_px - 1) / 2
    inside = np.all((centres[:, 1:] >= 0) & (centres[:, 1:] <= settings.size_px - 1), axis=1)
    return SimulatedStack(
        measured=camera.record(light, rng),
        expected=camera.expected(light),
        z_um=settings.z_um,
        centres=centres[inside],
        kind=kind,
        aberrations=microscope.aberrations,
        optics=settings.optics,
    )


def simulate(
    count: int,
    seed: int,
    settings: StackSettings | None = None,
    *,
    kinds: tuple[Kind, ...] = KINDS,
    pupils: int = _MOST_PUPILS,
    tilt_span_um: float | None = None,
) -> Iterator[SimulatedStack]:
    """Simulate stacks one after the other; the same seed gives the same stacks.

    The kinds take turns; up to `pupils` pupils are shared evenly among the stacks. Stack k is the
    same whatever the count, as long as the number of pupils is.
    """
    settings = settings or StackSettings()
    pupils = min(pupils, count)
    for pupil in range(pupils):
        pupil_rng = np.random.default_rng([seed, 0, pupil])
        own = draw_microscope(settings, np.random.default_rng([seed, 2, pupil]))
        microscope = Microscope(own, draw_aberrations(own, pupil_rng))
        for index in range(pupil, count, pupils):
            yield simulate_stack(
                microscope,
                _kind_of(index, pupils, kinds),
                np.random.default_rng([seed, 1, index]),
                tilt_span_um=tilt_span_um,
                camera_rng=np.random.default_rng([seed, 3, index]),
            )


def kinds_in_turn(count: int, kinds: tuple[Kind, ...], pupils: int = _MOST_PUPILS) -> list[Kind]:
    """Kinds of the stacks that `simulate` yields, in their order."""
    pupils = min(pupils, count)
    return [
        _kind_of(index, pupils, kinds)
        for pupil in range(pupils)
        for index in range(pupil, count, pupils)
    ]


def _kind_of(index: int, pupils: int, kinds: tuple[Kind, ...]) -> Kind:
    return kinds[(index // pupils + index % pupils) % len(kinds)]
