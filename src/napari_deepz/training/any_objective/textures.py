"""Dense, continuous samples: tissue, membranes, filaments, cells, on a volume whose borders meet.

Every function returns (Z, Y, X) float32 brightness, at least zero, of no particular scale.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Voxel = tuple[float, float, float]
Shape = tuple[int, int, int]


def gaussian_field(
    rng: np.random.Generator, shape: Shape, voxel_um: Voxel, scale_um: float, slope: float = 0.0
) -> Volume:
    """A Gaussian random field of unit variance.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    shape, voxel_um : tuple
        (Z, Y, X) voxels, and their sizes in µm.
    scale_um : float
        Structure finer than this is smoothed away.
    slope : float
        Amplitudes rise towards coarse structure as wavelength to this power: 0 has one scale, 2
        clouds upon clouds, as Perlin noise has.

    Returns
    -------
    ndarray
        (Z, Y, X) float32.
    """
    half = (*shape[:2], shape[2] // 2 + 1)
    spectrum = rng.standard_normal((*half, 2), dtype=np.float32).view(np.complex64)[..., 0]
    z, y = (
        scipy.fft.fftfreq(n, d).astype(np.float32)
        for n, d in zip(shape[:2], voxel_um[:2], strict=True)
    )
    x = scipy.fft.rfftfreq(shape[2], voxel_um[2]).astype(np.float32)
    square = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    weight = np.exp(-2 * (np.pi * scale_um) ** 2 * square / 4)
    if slope:
        coarsest = 1 / max(n * d for n, d in zip(shape, voxel_um, strict=True))
        weight *= (square + coarsest**2) ** np.float32(-slope / 2)
    weight[0, 0, 0] = 0
    spectrum *= weight
    field: Volume = scipy.fft.irfftn(spectrum, s=shape, workers=-1, overwrite_x=True)
    field /= max(float(field.std()), 1e-12)
    return field


def tissue(rng: np.random.Generator, shape: Shape, voxel_um: Voxel) -> Volume:
    """Clouds of brightness at many scales."""
    scale_um = float(np.exp(rng.uniform(*np.log((0.3, 3.0)))))
    field = gaussian_field(rng, shape, voxel_um, scale_um, slope=rng.uniform(0.8, 2.2))
    clouds: Volume = np.exp(field * np.float32(rng.uniform(0.5, 1.6)))
    return clouds


def membranes(rng: np.random.Generator, shape: Shape, voxel_um: Voxel) -> Volume:
    """Thin sheets, the walls between cells of a tissue."""
    scale_um = float(np.exp(rng.uniform(*np.log((2.0, 12.0)))))
    field = gaussian_field(rng, shape, voxel_um, scale_um)
    thickness = max(rng.uniform(0.1, 0.4), 0.7 * voxel_um[1]) / scale_um * 2
    sheets: Volume = np.exp(-((field / np.float32(thickness)) ** 2))
    return sheets


def filaments(rng: np.random.Generator, shape: Shape, voxel_um: Voxel) -> Volume:
    """Fibres, where two families of sheets cross."""
    scale_um = float(np.exp(rng.uniform(*np.log((2.0, 8.0)))))
    one = gaussian_field(rng, shape, voxel_um, scale_um)
    one *= one
    other = gaussian_field(rng, shape, voxel_um, scale_um)
    other *= other
    one += other
    thickness = max(rng.uniform(0.15, 0.5), 0.8 * voxel_um[1]) / scale_um * 2
    fibres: Volume = np.exp(-one / np.float32(thickness**2))
    return fibres


def cells(rng: np.random.Generator, shape: Shape, voxel_um: Voxel, thickness_um: float) -> Volume:
    """Rounded bodies, textured or hollow, such as nuclei, cells or organelles.

    `thickness_um` is the depth of the layer in which they lie.
    """
    extent_um = np.array(shape) * voxel_um
    radius_um = float(np.exp(rng.uniform(*np.log((0.6, 5.0)))))
    radius_um = float(np.clip(radius_um, 1.2 * voxel_um[1], extent_um[1] / 8))
    share = np.exp(rng.uniform(*np.log((0.01, 0.35))))
    one_um3 = 4 / 3 * np.pi * radius_um**3
    count = int(np.clip(share * extent_um[1] * extent_um[2] * thickness_um / one_um3, 3, 500))
    volume = np.zeros(shape, np.float32)
    hollow = rng.uniform() < 0.3
    spread = rng.uniform(0.05, 0.8)
    for _ in range(count):
        centre_um = rng.uniform(0, 1, 3) * [thickness_um, *extent_um[1:]]
        radii_um = radius_um * rng.uniform(0.7, 1.3, 3)
        around, inside = _ellipsoid(rng, centre_um, radii_um, shape, voxel_um, hollow)
        inside *= np.float32(np.exp(rng.normal(0, spread)))
        volume[around] = np.maximum(volume[around], inside)
    fine_um = max(radius_um * rng.uniform(0.1, 0.6), voxel_um[1])
    texture = gaussian_field(rng, shape, voxel_um, fine_um, slope=rng.uniform(0, 1.5))
    volume *= np.exp(texture * np.float32(rng.uniform(0, 0.7)))
    return volume


def _ellipsoid(
    rng: np.random.Generator,
    centre_um: NDArray[np.float64],
    radii_um: NDArray[np.float64],
    shape: Shape,
    voxel_um: Voxel,
    hollow: bool,
) -> tuple[tuple[NDArray[np.int64], ...], Volume]:
    """Voxels around an ellipsoid that may cross a border, and how much of it is in each."""
    angle = rng.uniform(0, np.pi)
    reach_um = radii_um.max() * 1.2
    places, offsets_um = [], []
    for centre, count, size in zip(centre_um, shape, voxel_um, strict=True):
        reach = min(int(np.ceil(reach_um / size)) + 1, count // 2 - 1)
        near = round(centre / size) + np.arange(-reach, reach + 1)
        places.append(near % count)
        offsets_um.append(near * size - centre)
    z, y, x = offsets_um
    turned_y = y[:, None] * np.cos(angle) - x * np.sin(angle)
    turned_x = y[:, None] * np.sin(angle) + x * np.cos(angle)
    lateral = (turned_y / radii_um[1]) ** 2 + (turned_x / radii_um[2]) ** 2
    distance = np.sqrt((z[:, None, None] / radii_um[0]) ** 2 + lateral)
    edge = 0.6 * voxel_um[1] / radii_um.min() + 0.05
    inside = 1 / (1 + np.exp(np.clip((distance - 1) / edge * 4, -30, 30)))
    if hollow:
        inside -= 0.9 / (1 + np.exp(np.clip((distance - 0.75) / edge * 4, -30, 30)))
    return np.ix_(*places), inside.astype(np.float32)


def body(rng: np.random.Generator, shape: Shape, voxel_um: Voxel) -> Volume:
    """A large rounded body, one where there is tissue, zero outside: an embryo, an organoid."""
    extent_um = np.array(shape) * voxel_um
    centre_um = extent_um * [0.5, *rng.uniform(0.3, 0.7, 2)]
    radii_um = extent_um * rng.uniform(0.15, 0.45, 3)
    offsets = [
        (np.arange(n) * d - c) / r
        for n, d, c, r in zip(shape, voxel_um, centre_um, radii_um, strict=True)
    ]
    z, y, x = offsets
    distance = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2).astype(np.float32)
    rough = gaussian_field(rng, shape, voxel_um, float(radii_um.min()) / 2)
    inside: Volume = 1 / (1 + np.exp(np.clip((distance - 1 + 0.05 * rough) * 25, -30, 30)))
    return inside
