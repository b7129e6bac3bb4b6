"""What balls of light leave in a plane of the camera, whatever their depth and the focus."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.special import j1

from napari_deepz.optics import Optics
from napari_deepz.pupil import Aberrations
from napari_deepz.training.movies.scene import Array, Balls, MovieSettings
from napari_deepz.training.psf import focal_psf

_MARGIN_PX = 64
_FINE_Z_UM = 0.25
_PSF_HALF_WIDTH_PX = 96
_DEEPEST_UM = 8.0
_DIGITS = 9
"""To which frequencies at the same distance from 0 are the same."""


class Projector:
    """What balls leave in a plane at some focus, through one pupil.

    Parameters
    ----------
    settings : MovieSettings
        The microscope.
    deepest_um : float
        How far from any focus something may lie.
    """

    def __init__(self, settings: MovieSettings, deepest_um: float) -> None:
        optics = settings.optics
        primary, secondary = optics.depth_aberration_waves(settings.depth_um)
        aberrations = Aberrations(
            spherical=primary, secondary_spherical=secondary, coma_x=settings.coma_waves
        )
        self._canvas_px = settings.size_px + 2 * _MARGIN_PX
        self._size_px = settings.size_px
        psf = _psf(optics, aberrations, _DEEPEST_UM * math.ceil(deepest_um / _DEEPEST_UM))
        half = len(psf) // 2
        wide = np.zeros((len(psf), self._canvas_px, self._canvas_px), np.float32)
        side = min(psf.shape[1], self._canvas_px)
        crop = (psf.shape[1] - side) // 2
        wide[:, :side, :side] = psf[:, crop : crop + side, crop : crop + side]
        wide = np.roll(wide, (-(side // 2), -(side // 2)), axis=(1, 2))
        self._transfer = scipy.fft.rfft2(wide, workers=-1).astype(np.complex64)
        self._middle = half
        self._pixel_um = optics.pixel_size_um
        self._y = scipy.fft.fftfreq(self._canvas_px)[:, None]
        self._x = scipy.fft.rfftfreq(self._canvas_px)[None]
        rho = np.hypot(self._y, self._x).round(_DIGITS)
        self._radii, which = np.unique(rho, return_inverse=True)
        self._which = which.reshape(rho.shape)

    def spectra(self, balls: Balls, focus_um: float) -> NDArray[np.complex64]:
        """Transform of each ball's image at a focus, at its place in depth but in the middle."""
        found = np.zeros((len(balls.light), *self._transfer.shape[1:]), np.complex64)
        for index, (centre, radius_um) in enumerate(
            zip(balls.centres_um, balls.radii_um, strict=True)
        ):
            # Focusing deeper by dz is as if the object were shallower by dz.
            levels = np.arange(-radius_um, radius_um + 1e-9, _FINE_Z_UM)
            widths = np.sqrt(np.maximum(radius_um**2 - levels**2, 0))
            weights = widths**2 / (widths**2).sum()
            for level, width, weight in zip(levels, widths, weights, strict=True):
                if weight > 0:
                    away_um = focus_um - (centre[0] + level)
                    found[index] += (weight * self._disc(width)) * self._at(away_um)
        return found

    def image(
        self, spectra: NDArray[np.complex64], places_um: Array, light: Array
    ) -> NDArray[np.float32]:
        """(Y, X) sum of images, each moved to its place, (N, 3) from the centre of the field."""
        total = np.zeros(spectra.shape[1:], np.complex64)
        for spectrum, place, one in zip(spectra, places_um, light, strict=True):
            y, x = place[1:] / self._pixel_um + (self._canvas_px - 1) / 2
            total += one * spectrum * self._moved(y, x)
        whole = scipy.fft.irfft2(total, s=(self._canvas_px, self._canvas_px), workers=-1)
        inner = slice(_MARGIN_PX, _MARGIN_PX + self._size_px)
        picture: NDArray[np.float32] = whole[inner, inner].clip(min=0).astype(np.float32)
        return picture

    def _moved(self, y: float, x: float) -> NDArray[np.complex64]:
        along_y = np.exp(-2j * np.pi * self._y * y).astype(np.complex64)
        along_x = np.exp(-2j * np.pi * self._x * x).astype(np.complex64)
        return np.asarray(along_y * along_x)

    def _at(self, away_um: float) -> NDArray[np.complex64]:
        place = np.clip(away_um / _FINE_Z_UM + self._middle, 0, len(self._transfer) - 1)
        below = min(int(place), len(self._transfer) - 2)
        share = np.float32(place - below)
        mixed: NDArray[np.complex64] = (
            self._transfer[below] * (1 - share) + self._transfer[below + 1] * share
        )
        return mixed

    def _disc(self, radius_um: float) -> NDArray[np.float32]:
        """Transform of a disc of unit light: 2 J1(v)/v."""
        v = 2 * np.pi * self._radii * radius_um / self._pixel_um
        each = np.where(v > 1e-6, 2 * j1(v) / np.maximum(v, 1e-6), 1.0).astype(np.float32)
        return each[self._which]


@lru_cache(maxsize=1)
def _psf(optics: Optics, aberrations: Aberrations, deepest_um: float) -> NDArray[np.float32]:
    """(Z, Y, X) for movies of one microscope, one after the other."""
    return focal_psf(
        optics,
        aberrations,
        half_range_um=deepest_um,
        z_step_um=_FINE_Z_UM,
        half_width_px=_PSF_HALF_WIDTH_PX,
    )
