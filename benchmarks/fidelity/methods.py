"""What is compared: networks, deconvolution of the single plane, and doing nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import scipy.fft
from scipy.signal import fftconvolve
from skimage.restoration import richardson_lucy

from benchmarks.fidelity.sets import PIXEL_UM, HeldOut
from napari_deepz import Flat, refocus
from napari_deepz.models.package import Model
from napari_deepz.training.psf import focal_psf

ITERATIONS = 20
BACKGROUND_PERCENTILE = 20.0

_PSF_STEP_UM = 0.5
_PSF_HALF_PX = 64


class Method(Protocol):
    """A way to images at other distances from the one image."""

    name: str

    def planes(self, stack: HeldOut, z_um: Any) -> np.ndarray:
        """(n, Y, X) images at distances from the input plane, in counts."""


class Network:
    """A trained generator.

    Parameters
    ----------
    model : Model
        From `load_model`.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.name = f"`{model.spec.name}`"

    def planes(self, stack: HeldOut, z_um: Any) -> np.ndarray:
        """Refocus the input."""
        flat = [Flat(float(z)) for z in z_um]
        return refocus(stack.image, flat, self.model, pixel_size_um=PIXEL_UM).data


class RichardsonLucy:
    """Deconvolution of the one plane with the known PSF, as if all light came from one distance."""

    name = "Richardson-Lucy"

    def planes(self, stack: HeldOut, z_um: Any) -> np.ndarray:
        """Deconvolve the input for each distance, and blur the result as in focus."""
        reach_um = float(np.ceil(np.abs(z_um).max()))
        psf = focal_psf(
            replace(stack.optics, pixel_size_um=PIXEL_UM),
            stack.aberrations,
            half_range_um=reach_um,
            z_step_um=_PSF_STEP_UM,
            half_width_px=_PSF_HALF_PX,
        )
        middle = len(psf) // 2
        # The PSF's axis is the focus relative to the point: an object at distance z from the
        # input's focus is seen there from -z.
        seen = [psf[middle - round(z / _PSF_STEP_UM)] for z in z_um]
        with scipy.fft.set_workers(os.cpu_count() or 1):
            return np.stack([deconvolved(stack.image, each, psf[middle]) for each in seen])


class Unrefocused:
    """The input itself, at every distance."""

    name = "unrefocused"

    def planes(self, stack: HeldOut, z_um: Any) -> np.ndarray:
        """The input, again and again."""
        return np.repeat(stack.image[np.newaxis].astype(np.float32), len(z_um), axis=0)


def deconvolved(image: np.ndarray, psf: np.ndarray, psf_in_focus: np.ndarray) -> np.ndarray:
    """Richardson-Lucy estimate of an image, then as the microscope would show it in focus.

    Parameters
    ----------
    image : ndarray
        (Y, X) counts; continued beyond its border by its mirror image.
    psf, psf_in_focus : ndarray
        (H, W) odd, of the image and of what is returned; scaled to a sum of one.

    Returns
    -------
    ndarray
        (Y, X) float32 counts.
    """
    margin = psf.shape[0] // 2
    background = np.float32(np.percentile(image, BACKGROUND_PERCENTILE))
    light = np.pad(image.astype(np.float32) - background, margin, mode="reflect").clip(min=0)
    scale = light.max()
    if scale == 0:
        return image.astype(np.float32)
    estimate = richardson_lucy(light / scale, psf / psf.sum(), num_iter=ITERATIONS, clip=False)
    again = fftconvolve(estimate, psf_in_focus / psf_in_focus.sum(), mode="same")
    inner = again[margin:-margin, margin:-margin] * scale + background
    return inner.astype(np.float32)
