"""What a network has seen, ready to be refocused onto any surface: of one image, or of several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_deepz.engine.inputs import Surfaces, check_surfaces
from napari_deepz.engine.run import RefocusedPlane
from napari_deepz.surfaces import Surface
from napari_deepz.watch import UNWATCHED, Watch

ONE_PLANE_ALONE = "One input plane does not say how far its pictures may be off: name another one."


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


class Encoded(ABC):
    """What any surface can be refocused from, again and again."""

    @property
    @abstractmethod
    def device(self) -> str:
        """What computes, for people."""

    @property
    @abstractmethod
    def is_ready(self) -> bool:
        """Whether a further surface takes milliseconds: all that it shares with others is kept."""

    @property
    def pictures(self) -> tuple[Encoded, ...]:
        """The `EncodedImage` of each image that was encoded by itself, for others to share."""
        return ()

    @abstractmethod
    def part(self, y: slice, x: slice) -> Encoded:
        """Cut out a rectangle, to be refocused sooner than the whole.

        Its intensities are normalised like the whole image's, so that its planes are those of the
        whole but for the pixels near its edges, where the generator does not see what is beyond.

        Parameters
        ----------
        y, x : slice
            Rows and columns, at least 32 of each.

        Returns
        -------
        Encoded
            Its surfaces begin at its own first pixel.
        """

    @abstractmethod
    def notes_on(self, surfaces: Surfaces) -> tuple[str, ...]:
        """Say before a run what the user must know about it, a sentence each."""

    @abstractmethod
    def iter_refocus(
        self,
        surfaces: Surfaces,
        *,
        watch: Watch = UNWATCHED,
        outward_from_um: float | None = None,
    ) -> Generator[RefocusedPlane, None, None]:
        """Yield refocused planes one by one; see the function `engine.refocus.iter_refocus`.

        `outward_from_um` is a depth whose neighbours come out first; the `index` of a plane is
        its place in the order of `surfaces` all the same.
        """

    @abstractmethod
    def for_frame(
        self, images: Sequence[ArrayLike], light: float | None, dark: float = 0.0
    ) -> Encoded:
        """Give the same place at another time, treated as this one was.

        Planes are brought together by what was found here, and normalised as here but for the
        light: fitted to each frame, one cell that lights up would change all others.

        Parameters
        ----------
        images : sequence of array-like
            (Y, X) of each input plane.
        light : float or None
            Of the frame above `dark`, as a share of the light here; None to normalise the frame by
            itself.
        dark : float, optional
            Counts of the camera without light.

        Raises
        ------
        ValueError
            If an image cannot be worked with; one sentence.
        """

    def spread(self) -> Encoded:
        """Give how far the pictures may be off, for the same surfaces, in units of intensity.

        Raises
        ------
        ValueError
            If nothing says it; one sentence.
        """
        raise ValueError(ONE_PLANE_ALONE)

    def refocus(self, surfaces: Surfaces, *, watch: Watch = UNWATCHED) -> RefocusedStack:
        """Refocus onto all planes at once; see the function `engine.refocus.refocus`."""
        targets = check_surfaces(surfaces)
        count = sum(len(target) for target in targets)
        return stacked(self.iter_refocus(targets, watch=watch), count)


def stacked(planes: Iterable[RefocusedPlane], count: int) -> RefocusedStack:
    """Put so many planes, in the order of their index, into one array."""
    got: list[RefocusedPlane] = []
    for plane in planes:
        if count == 1:
            data = plane.data[np.newaxis]
        elif not got:
            data = np.empty((count, *plane.data.shape), dtype=np.float32)
        if count > 1:
            data[plane.index] = plane.data
        got.append(replace(plane, data=data[plane.index]))
    return RefocusedStack(
        data=data,
        z_um=tuple(plane.z_um for plane in got),
        surfaces=tuple(plane.surface for plane in got),
        out_of_range=tuple(plane.out_of_range for plane in got),
        notes=got[-1].notes,
        device=got[-1].device,
    )
