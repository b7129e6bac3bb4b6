"""How far an unknown network sees, and on which sizes it runs, measured on the network itself.

Tiles are seamless only where the halo is known: how far away an image may change an output pixel.
It is found by changing single pixels of the image and the DPM and looking where the output
changes: once to not-a-number, which spreads through every sum however small the weight, and once
by a large number, which also shows a global operation that ignores what is not a number. The
probes are strips, which cost little however far the network sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from napari_deepz.generators.errors import ModelError

Run = Callable[[Tensor, Tensor], Tensor]

_SHORT_PX = 16
_FIRST_LONG_PX = 1024
_LONGEST_PX = 4096
_CHANGES = (float("nan"), 100.0)
_LARGEST_SHIFT_ERROR = 1e-3


def measure_field(run: Run, size_multiples: Sequence[int], where: str) -> tuple[int, int]:
    """Find the size that a network works in multiples of, and its halo.

    Parameters
    ----------
    run : callable
        Takes an image and a DPM on the scale of the network, (1, 1, Y, X) each, and returns the
        output of the same shape.
    size_multiples : sequence of int
        What the multiple may be, smallest first.
    where : str
        What a sentence calls the model, such as "in worm.zip".

    Returns
    -------
    size_multiple, halo_px : int

    Raises
    ------
    ModelError
        If the network runs at none of these, or what it computes depends on the whole image.
    """
    runs = [multiple for multiple in size_multiples if _runs(run, multiple)]
    if not runs:
        raise ModelError(
            f"The network {where} does not run on images of other sizes than its test image, so "
            "napari-deepz, which works in tiles, cannot use it."
        )
    for multiple in runs:
        halos = [_halo_px(run, multiple, turned) for turned in (False, True)]
        known = [halo_px for halo_px in halos if halo_px is not None]
        if len(known) == 2 and all(
            _same_when_shifted(run, multiple, halo_px, turned)
            for halo_px, turned in zip(known, (False, True), strict=True)
        ):
            return multiple, max(known)
    raise ModelError(
        f"The network {where} cannot be used in tiles: a change in one place of an image changes "
        "its output everywhere, as with instance normalisation, or the output depends on where in "
        "the image something lies."
    )


def _runs(run: Run, multiple: int) -> bool:
    """Whether the network runs on the smallest image and on one that is not square."""
    try:
        for height, width in ((multiple, multiple), (2 * multiple, 3 * multiple)):
            image = _noise(height, width)
            if run(image, image).shape != image.shape:
                return False
    except RuntimeError:
        return False
    return True


def _halo_px(run: Run, multiple: int, turned: bool) -> int | None:
    """Reach along an image's rows, or along its columns; None where it has no end."""
    short_px = _rounded_up(_SHORT_PX, multiple)
    long_px = _rounded_up(max(_FIRST_LONG_PX, 16 * multiple), multiple)
    while long_px <= max(_LONGEST_PX, 32 * multiple):
        middle = long_px // 2 // multiple * multiple
        # Pooling looks furthest back from the last pixel of a cell, and furthest on from its first.
        reach = max(_reach(run, (short_px, long_px), at, turned) for at in (middle, middle - 1))
        # A strip this much longer also shows what is looked for far away, past all in between.
        if reach <= long_px // 4:
            return reach
        long_px *= 2
    return None


def _reach(run: Run, shape: tuple[int, int], at: int, turned: bool) -> int:
    """How far changes at one place along a strip are seen."""
    image, dpm = _noise(*shape), _noise(*shape, seed=1)
    before = _run_turned(run, image, dpm, turned)
    touched = torch.zeros(shape[1], dtype=torch.bool)
    for change in _CHANGES:
        for changed in (image, dpm):
            kept = changed[..., at].clone()
            changed[..., at] += change
            try:
                after = _run_turned(run, image, dpm, turned)
            except RuntimeError:
                if math.isfinite(change):
                    raise
                after = before  # Distances that choose among planes must be numbers.
            touched |= (after != before)[0, 0].any(0)
            changed[..., at] = kept
    places = touched.nonzero().ravel()
    return int((places - at).abs().max()) if places.numel() else 0


def _same_when_shifted(run: Run, multiple: int, halo_px: int, turned: bool) -> bool:
    """Whether an image without its first rows gives the same output beyond the halo."""
    short_px = _rounded_up(_SHORT_PX, multiple)
    long_px = _rounded_up(2 * halo_px + 64, multiple) + 2 * multiple
    image, dpm = _noise(short_px, long_px), _noise(short_px, long_px, seed=1)
    whole = _run_turned(run, image, dpm, turned)[..., multiple + halo_px :]
    part = _run_turned(run, image[..., multiple:], dpm[..., multiple:], turned)[..., halo_px:]
    return bool((whole - part).abs().max() <= _LARGEST_SHIFT_ERROR * whole.std().clamp(min=1e-12))


def _run_turned(run: Run, image: Tensor, dpm: Tensor, turned: bool) -> Tensor:
    if not turned:
        return run(image.contiguous(), dpm.contiguous())
    return run(image.mT.contiguous(), dpm.mT.contiguous()).mT


def _noise(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 1, height, width, generator=generator)


def _rounded_up(size_px: int, multiple: int) -> int:
    return -(-size_px // multiple) * multiple
