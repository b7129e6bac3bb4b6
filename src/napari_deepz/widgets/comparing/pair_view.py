"""How a virtual and a measured layer are looked at together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from napari.layers import Image

from napari_deepz.widgets.shared.flipping import Flip
from napari_deepz.widgets.shared.results import place


class Look(StrEnum):
    """What the menu offers."""

    AS_THEY_ARE = "As they are"
    BESIDE = "Beside each other"
    OVER = "Over each other (blend)"
    FLIP = "One at a time (flip)"


@dataclass(frozen=True)
class _Before:
    visible: tuple[bool, bool]
    opacity: float
    translate: tuple[float, ...]


class PairView:
    """Places, shows and hides two layers, and puts back what it has changed.

    Parameters
    ----------
    viewer : napari.Viewer
        Of the layers.
    on_key : callable
        Called when the key for flipping is pressed.
    on_end : callable
        Called when flipping has to end.
    """

    def __init__(self, viewer: Any, on_key: Callable[[], None], on_end: Callable[[], None]) -> None:
        self._viewer = viewer
        self.flip = Flip(viewer, on_key, on_end=on_end)
        self._virtual: Image | None = None
        self._measured: Image | None = None
        self._before: _Before | None = None
        self.look = Look.AS_THEY_ARE

    def show(
        self, look: Look, virtual: Image | None, measured: Image | None, *, blend: float
    ) -> None:
        """Look at two layers in one way; where one is missing, both are as they were.

        Parameters
        ----------
        look : Look
            In which way.
        virtual, measured : Image or None
            At what.
        blend : float
            Opacity of the virtual layer while it lies over the measured one.
        """
        self.restore()
        if virtual is None or measured is None or look is Look.AS_THEY_ARE:
            return
        self._viewer.canvas.grid.enabled = False  # Both are arranged in one canvas.
        self._virtual, self._measured, self.look = virtual, measured, look
        self._before = _Before(
            (virtual.visible, measured.visible), virtual.opacity, tuple(virtual.translate)
        )
        place(virtual, beside=look is Look.BESIDE)
        if look is Look.FLIP:
            self.flip.start({"INFERRED": virtual, "MEASURED": measured})
            return
        virtual.visible = measured.visible = True
        if look is Look.OVER:
            layers = self._viewer.layers
            below, above = layers.index(virtual), layers.index(measured)
            if below < above:
                layers.move(below, above + 1)
            virtual.opacity = blend

    def blend(self, opacity: float) -> None:
        """Change how much of the virtual layer is seen over the measured one."""
        if self._virtual is not None and self.look is Look.OVER:
            self._virtual.opacity = opacity

    def restore(self) -> None:
        """Put both layers back as they were."""
        self.flip.stop()
        if self._virtual is not None and self._measured is not None and self._before is not None:
            self._virtual.visible, self._measured.visible = self._before.visible
            self._virtual.opacity = self._before.opacity
            if len(self._before.translate) == self._virtual.ndim:
                self._virtual.translate = self._before.translate
        self._virtual = self._measured = self._before = None
        self.look = Look.AS_THEY_ARE
