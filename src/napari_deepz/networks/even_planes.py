"""A code that holds one refocused image per plane, from which surfaces pick pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_deepz.networks.base import Generator

_MOST_INT32 = 1 << 31


class EvenPlanes(Generator):
    """A generator whose code is its evenly spaced planes.

    `decode` interpolates linearly in z, per pixel, so any surface over an encoded image costs
    next to nothing. Distances outside the planes give the outermost plane.

    Parameters
    ----------
    z_min_um, z_max_um : float
        Axial distance of the first and the last plane in µm.
    planes : int
        Number of planes.
    """

    plane_z_um: tuple[float, ...]

    def __init__(self, z_min_um: float, z_max_um: float, planes: int) -> None:
        super().__init__()
        self.z_min_um = z_min_um
        self.z_step_um = (z_max_um - z_min_um) / (planes - 1)
        self.planes = planes
        self.code_channels = planes
        self.plane_z_um = tuple(z_min_um + k * self.z_step_um for k in range(planes))

    def decode(self, code: Tensor, dpm_um: Tensor) -> Tensor:
        """Interpolate the encoded planes at every pixel's own distance.

        A DPM that is one number expanded to the image's shape takes a short cut.
        """
        if not any(dpm_um.stride()):
            return self._uniform(code, float(self._position(dpm_um[:1, :1, :1, :1])))
        position = self._position(dpm_um)
        below = position.int().clamp(max=self.planes - 2)
        share = position - below
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            lower, upper = (code.gather(1, below.long() + step) for step in (0, 1))
        else:
            lower, upper = _neighbours(code, below)
        return torch.lerp(lower, upper, share)

    def _position(self, dpm_um: Tensor) -> Tensor:
        """Between which planes, counted from the first."""
        return ((dpm_um - self.z_min_um) / self.z_step_um).clamp(0, self.planes - 1)

    def _uniform(self, code: Tensor, position: float) -> Tensor:
        plane = min(int(position), self.planes - 2)
        lower, upper = code[:, plane, None], code[:, plane + 1, None]
        if position in (plane, plane + 1):
            return lower if position == plane else upper
        return torch.lerp(lower, upper, position - plane)


def _neighbours(code: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
    """Values of `code` in the plane `below` and the one after it, each of the shape of `below`.

    In half the time that gather takes.
    """
    kind = torch.int32 if code.numel() < _MOST_INT32 else torch.int64
    samples, planes, pixels = len(code), code.shape[1], below[0].numel()
    first = torch.arange(samples, dtype=kind, device=code.device) * planes
    index = (below.flatten(1) + first[:, None]) * pixels
    index = (index + torch.arange(pixels, dtype=kind, device=code.device)).flatten()
    values = code.flatten()
    return (
        values.index_select(0, index).view_as(below),
        values[pixels:].index_select(0, index).view_as(below),
    )
