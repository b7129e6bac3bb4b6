"""The published Deep-Z generator (Wu et al. 2019, doi:10.1038/s41592-019-0622-5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_deepz.networks.base import Generator, initialise, is_recording


def _convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class _Down(nn.Module):
    """Two convolutions plus the block's own input, padded with empty channels."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        middle = (channels_in + channels_out) // 2
        self.conv1 = _convolution(channels_in, middle)
        self.conv2 = _convolution(middle, channels_out)
        self.new_channels = channels_out - channels_in

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu_(self.conv2(F.relu_(self.conv1(x))))
        if is_recording():
            return y + F.pad(x, (0, 0, 0, 0, 0, self.new_channels))
        y[:, : x.shape[1]] += x
        return y


class _Up(nn.Module):
    """Transposed convolution, then two convolutions beside the skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.ConvTranspose2d(2 * channels, channels, 3, stride=2)
        self.conv1 = _convolution(2 * channels, 3 * channels // 2)
        self.conv2 = _convolution(3 * channels // 2, channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        u = self._widened(x)
        if is_recording():
            return F.relu(self.conv2(F.relu(self.conv1(torch.cat([u, skip], dim=1))))) + u
        # Two convolutions and their sum spare the largest tensor of all.
        weight, channels = self.conv1.weight, u.shape[1]
        y = F.conv2d(u, weight[:, :channels], self.conv1.bias, padding=1)
        y += F.conv2d(skip, weight[:, channels:], padding=1)
        out: Tensor = F.relu_(self.conv2(F.relu_(y)))
        return out.add_(u)

    def _widened(self, x: Tensor) -> Tensor:
        """Keep the first 2n of the 2n + 1 rows and columns, as TensorFlow's SAME does."""
        widened: Tensor
        if is_recording():
            widened = self.conv0(x)[..., :-1, :-1]
        else:
            # Padding cuts both ends, so a row goes in front: the same in half the time.
            before = F.pad(x, (1, 0, 1, 0))
            weight, bias = self.conv0.weight, self.conv0.bias
            widened = F.conv_transpose2d(before, weight, bias, 2, padding=2, output_padding=1)
        return widened


class DeepZUNet(Generator):
    """The published U-Net: image and DPM go in together, one slice comes out.

    All its work is done in `decode`; its code is the image itself.

    Parameters
    ----------
    base : int
        Channels of the finest level, 48 in the published network; each level doubles them.
    levels : int
        Number of resolutions, 6 in the published network (77.8 million parameters).
    dpm_scale_um : float
        The DPM enters divided by this, 10 µm in the published network.
    """

    code_channels = 1

    def __init__(self, base: int = 48, levels: int = 6, dpm_scale_um: float = 10.0) -> None:
        super().__init__()
        self.arguments = {"base": base, "levels": levels, "dpm_scale_um": dpm_scale_um}
        self.dpm_scale_um = dpm_scale_um
        widths = [base * 2**level for level in range(levels)]
        self.down = nn.ModuleList(
            _Down(width_in, width)
            for width_in, width in zip([2, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(_Up(width) for width in widths[:-1])
        self.last_layer = _convolution(base, 1)
        initialise(self)

        self.size_multiple = 2 ** (levels - 1)
        # Two convolutions a level on the way down, two and a transposed one on the way up, and
        # the last layer, each in pixels of its own level.
        steps = [2**level for level in range(levels)]
        self.halo_px = 2 * sum(steps) + 2 * sum(steps[:-1]) + sum(steps[1:]) + 1

    def encode(self, image: Tensor) -> Tensor:
        """Return the image: nothing can be computed before the DPM is known."""
        return image

    def decode(self, code: Tensor, dpm_um: Tensor) -> Tensor:
        """Run the whole network on the image and the DPM."""
        features = torch.cat([code, dpm_um / self.dpm_scale_um], dim=1)
        skips = []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else F.max_pool2d(features, 2))
            skips.append(features)
        for level in reversed(range(len(self.up))):
            features = self.up[level](features, skips[level])
        refocused: Tensor = self.last_layer(features)
        return refocused
