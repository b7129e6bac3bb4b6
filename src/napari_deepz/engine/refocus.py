"""Refocus one 2D image onto surfaces: all planes at once, or one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import psutil
import torch
from numpy.typing import ArrayLike, NDArray

from napari_deepz.engine.devices import (
    Precision,
    Runtime,
    check_precision,
    check_runtime,
    choose_device,
)
from napari_deepz.engine.encoding import Encoding
from napari_deepz.engine.inputs import Surfaces, check_image, check_shape, check_surfaces
from napari_deepz.engine.planning import Budget, RefocusPlan, ResourceError, plan_refocus
from napari_deepz.engine.run import RefocusedPlane, RefocusRun, RefocusWarning
from napari_deepz.engine.scratch import free_scratch_bytes
from napari_deepz.intensity import Intensity, fit_intensity
from napari_deepz.models.package import Model
from napari_deepz.networks.forking import compute_here
from napari_deepz.surfaces import Surface
from napari_deepz.watch import Progress, StopCondition

__all__ = [
    "Budget",
    "EncodedImage",
    "RefocusWarning",
    "RefocusedPlane",
    "RefocusedStack",
    "ResourceError",
    "iter_refocus",
    "refocus",
]


@dataclass(frozen=True, eq=False)
class RefocusedStack:
    """All virtual images of a run; the attributes are those of its planes.

    Attributes
    ----------
    data : ndarray
        (n, Y, X) float32, in the input's intensity units.
    z_um, surfaces, out_of_range : tuple
        One entry per plane.
    notes : tuple of str
        What was noticed in the run, a sentence each.
    device : str
        What computed it.
    """

    data: NDArray[np.float32]
    z_um: tuple[float | None, ...]
    surfaces: tuple[Surface, ...]
    out_of_range: tuple[NDArray[np.bool_] | None, ...]
    notes: tuple[str, ...]
    device: str


class EncodedImage:
    """An image that the network has seen, ready to be refocused onto any surface.

    What depends on the image alone is computed at the first call and kept, so that a further
    surface takes milliseconds. Images too large for the budget, and generators that do all their
    work for each surface anew, such as the published U-Net, work too, but gain nothing.

    Parameters
    ----------
    image : array-like
        (Y, X), bool, integer or float; NumPy, dask or zarr. It must not change afterwards.
    model : Model
        From `load_model`. It is not changed, and may be used by several threads at once.
    pixel_size_um : float, optional
        Of the image; the model's is assumed where it is None. Where they differ by more than
        2 %, the image is resampled on the way in and every plane on the way out.
    device : str or torch.device, optional
        As for `choose_device`.
    precision : {"float32", "bfloat16"}, optional
        "bfloat16" computes convolutions with fewer digits, about twice as fast on processors that
        have instructions for it; the result differs by about 1 % of its range at most,
        where the image is more than noise.
    runtime : {"pytorch", "openvino"}, optional
        "openvino" computes models of the published U-Net on the CPU, with "bfloat16" up to twice
        as fast, once it has compiled them; needs the extra ``napari-deepz[openvino]``.
    tile_px : int, optional
        Largest side of a tile without its halo; by default images up to 1152 × 1152 pixels are
        not tiled, and with generators that encode once, such as the bundled one, up to
        2304 × 2304.
    budget : Budget, optional
        Limits of memory and scratch space; where None, encoded tiles may take a quarter of the
        memory that is free now, from 1 to 3.25 GiB.

    Raises
    ------
    ValueError
        If an argument cannot be worked with; the message is a sentence for the user.
    ForkedProcessError
        In a process that was forked from one that has loaded a model, where PyTorch would hang.
    """

    def __init__(
        self,
        image: ArrayLike,
        model: Model,
        *,
        pixel_size_um: float | None = None,
        device: str | torch.device | None = None,
        precision: Precision = "float32",
        runtime: Runtime = "pytorch",
        tile_px: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        compute_here()
        chosen = choose_device(device)
        self._encoding = Encoding(
            check_image(image),
            model,
            chosen,
            check_precision(precision),
            check_runtime(runtime, model.network, chosen),
            tile_px,
        )
        self._pixel_size_um = pixel_size_um
        free_bytes = psutil.virtual_memory().available
        self._budget = budget or Budget().with_free_memory(free_bytes)

    @property
    def is_ready(self) -> bool:
        """Whether a further surface takes milliseconds: all that it shares with others is kept."""
        return self._encoding.is_complete or self._encoding.image.constant is not None

    @cached_property
    def _intensity(self) -> Intensity:
        """Normalisation of the image on its own pixel grid, for its parts."""
        encoding = self._encoding
        method = encoding.model.spec.normalisation
        image = encoding.image
        return encoding.intensity or fit_intensity(method, image.pixels, image.measured)

    def part(self, y: slice, x: slice) -> EncodedImage:
        """Cut out a rectangle, to be refocused sooner than the whole.

        Its intensities are normalised like the whole image's, so that its planes are those of the
        whole but for the pixels near its edges, where the generator does not see what is beyond.

        Parameters
        ----------
        y, x : slice
            Rows and columns, at least 32 of each.

        Returns
        -------
        EncodedImage
            Its surfaces begin at its own first pixel.
        """
        part, whole = copy(self), self._encoding
        image = whole.image.part(y, x)
        check_shape(image.pixels.shape)
        part._encoding = replace(
            whole,
            image=image,
            intensity=self._intensity,
            is_complete=False,
        )
        return part

    def iter_refocus(
        self,
        surfaces: Surfaces,
        *,
        should_stop: StopCondition | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Generator[RefocusedPlane, None, None]:
        """Yield refocused planes one by one; see the function `iter_refocus`."""
        compute_here()
        targets = check_surfaces(surfaces)
        encoding = self._encoding
        limits = self._budget.with_free_scratch(free_scratch_bytes())

        def plan(tile_px: int | None) -> RefocusPlan:
            return plan_refocus(
                encoding.image.pixels.shape,
                targets,
                encoding.model,
                pixel_size_um=self._pixel_size_um,
                tile_px=tile_px,
                budget=limits,
            )

        run = RefocusRun(
            encoding, should_stop or (lambda: False), plan, on_progress or (lambda _: None)
        )
        for note in run.notes:
            warnings.warn(note, RefocusWarning, stacklevel=3)
        return run.planes()

    def refocus(
        self,
        surfaces: Surfaces,
        *,
        should_stop: StopCondition | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> RefocusedStack:
        """Refocus onto all planes at once; see the function `refocus`."""
        targets = check_surfaces(surfaces)
        count = sum(len(target) for target in targets)
        planes: list[RefocusedPlane] = []
        for plane in self.iter_refocus(targets, should_stop=should_stop, on_progress=on_progress):
            if count == 1:
                data = plane.data[np.newaxis]
            elif not planes:
                data = np.empty((count, *plane.data.shape), dtype=np.float32)
            if count > 1:
                data[plane.index] = plane.data
            planes.append(replace(plane, data=data[plane.index]))
        return RefocusedStack(
            data=data,
            z_um=tuple(plane.z_um for plane in planes),
            surfaces=tuple(plane.surface for plane in planes),
            out_of_range=tuple(plane.out_of_range for plane in planes),
            notes=planes[-1].notes,
            device=planes[-1].device,
        )


def iter_refocus(
    image: ArrayLike,
    surfaces: Surfaces,
    model: Model,
    *,
    pixel_size_um: float | None = None,
    device: str | torch.device | None = None,
    precision: Precision = "float32",
    runtime: Runtime = "pytorch",
    should_stop: StopCondition | None = None,
    tile_px: int | None = None,
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Generator[RefocusedPlane, None, None]:
    """Yield refocused planes one by one, as soon as each is ready.

    The arguments are checked and the image is read before the first plane is asked for.

    Parameters
    ----------
    image, model, pixel_size_um, device, precision, runtime, tile_px, budget
        As for `EncodedImage`.
    surfaces : Surface, array-like or iterable of them
        Where to refocus; an array is a digital propagation matrix, (Y, X) in µm.
    should_stop : callable, optional
        Asked between tiles and between the layers of the network.
    on_progress : callable, optional
        Told the progress after each tile of each plane: a large image has many of them before
        its first plane is ready. Called in the thread that asks for the planes.

    Yields
    ------
    RefocusedPlane
        In the order of `surfaces`.

    Raises
    ------
    ValueError
        If an argument cannot be worked with; the message is a sentence for the user.
    ResourceError
        If memory or disk space does not suffice.
    Cancelled
        When `should_stop()` is true.

    Warns
    -----
    RefocusWarning
        Once for each thing that the user must know; the planes' notes say the same.
    """
    encoded = EncodedImage(
        image,
        model,
        pixel_size_um=pixel_size_um,
        device=device,
        precision=precision,
        runtime=runtime,
        tile_px=tile_px,
        budget=budget,
    )
    return encoded.iter_refocus(surfaces, should_stop=should_stop, on_progress=on_progress)


def refocus(
    image: ArrayLike,
    surfaces: Surfaces,
    model: Model,
    *,
    pixel_size_um: float | None = None,
    device: str | torch.device | None = None,
    precision: Precision = "float32",
    runtime: Runtime = "pytorch",
    should_stop: StopCondition | None = None,
    tile_px: int | None = None,
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> RefocusedStack:
    """Refocus an image onto all planes at once; parameters and errors as for `iter_refocus`.

    Returns
    -------
    RefocusedStack
        All planes, in the order of `surfaces`.
    """
    encoded = EncodedImage(
        image,
        model,
        pixel_size_um=pixel_size_um,
        device=device,
        precision=precision,
        runtime=runtime,
        tile_px=tile_px,
        budget=budget,
    )
    return encoded.refocus(surfaces, should_stop=should_stop, on_progress=on_progress)
