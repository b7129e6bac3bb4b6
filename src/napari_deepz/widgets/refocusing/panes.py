"""An image and what is made of it in two linked panes of napari's grid."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from napari.layers import Image, Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_deepz.widgets.shared.layer_files import DIFFERENCE
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.results import (
    CONFIDENCE,
    is_inferred,
    lies_at,
    made_of,
    pictures_of,
    record_of,
)
from napari_deepz.widgets.shared.room_beside import field_of

_DRAWN_AFTER_MS = 100
"""Until it has been drawn a pane has no size to which images could be fitted."""
_GAP_PX = 4.0
_COVERING = ("opaque", "translucent", "translucent_no_depth")


class Panes(QObject):  # type: ignore[misc]
    """Keeps napari's grid as two panes: what is measured left, inferred right.

    The panes have one camera, so that both show the same place as large as they can. napari fills
    a pane with so many neighbours of the layer list, so what is inferred is moved to its end. What
    covers the chosen image, or the picture that is made of it, is put away meanwhile.

    Parameters
    ----------
    viewer : napari.Viewer
        With the grid.
    parent : QObject
        With whose destruction the work ends.

    Attributes
    ----------
    arranged : Signal
        Emitted when other layers may be seen than before.
    left_by_user : Signal
        Emitted when the grid was switched off, or on, by somebody else.
    """

    arranged, left_by_user = Signal(), Signal()

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._wanted = self._busy = False
        self._image: Image | None = None
        self._put_away: WeakSet[Layer] = WeakSet()
        self._ndim = 0
        self._grid_before: tuple[bool, int, tuple[int, int], float] | None = None
        # Layers change one after the other, and napari does not like to be changed meanwhile.
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._arrange)
        self._fit_timer = QTimer(self, singleShot=True, interval=_DRAWN_AFTER_MS)
        self._fit_timer.timeout.connect(viewer.reset_view)
        for event in ("inserted", "removed", "reordered"):
            getattr(viewer.layers.events, event).connect(self._soon)
        viewer.canvas.grid.events.enabled.connect(self._on_enabled)
        for event in ("point", "ndisplay"):
            getattr(viewer.dims.events, event).connect(self._soon)

    def has_put_away(self, layer: Layer) -> bool:
        """Whether a layer is hidden because another one is to be seen in its pane."""
        return layer in self._put_away

    def show(self, image: Image | None) -> None:
        """Show an image and what is made of it side by side, as long as something is."""
        self._wanted, self._image = True, image
        self._timer.start()

    def leave(self) -> None:
        """Show all in one canvas again, and what was put away."""
        if not self._wanted:
            return
        self._wanted = False
        self._timer.stop()
        self._restore_grid()
        self._bring_back({*self._put_away})

    def _soon(self, _: Any = None) -> None:
        if self._wanted:
            self._timer.start()

    def _arrange(self) -> None:
        """Order the layers, and show what belongs to the chosen image only."""
        layers, image = self._viewer.layers, self._image
        is_there = image is not None and image in layers
        pictures = pictures_of(self._viewer, image) if is_there else []
        if image is None or not pictures or not self._wanted:
            self._restore_grid()
            self._bring_back({*self._put_away})
        else:
            differences = [one for one in layers if DIFFERENCE in one.metadata and one.visible]
            self._show_only(image, [self._topmost(pictures), *differences][-1])
            inferred = [layer for layer in layers if _is_picture(layer)]
            if [*layers][len(layers) - len(inferred) :] != inferred:
                for layer in inferred:
                    layers.move(layers.index(layer), len(layers))
            self._divide(len(layers) - len(inferred))
        self.arranged.emit()

    def _topmost(self, pictures: list[Image]) -> Image:
        """The picture to be seen: of the shown time and channel; in 3D a stack before Live."""
        shown = [
            layer for layer in pictures if layer.visible or layer in self._put_away
        ] or pictures
        view = View.of(self._viewer)
        here = [layer for layer in shown if lies_at(layer, view)] or shown
        in_3d = self._viewer.dims.ndisplay == 3
        stacks = [layer for layer in here if record_of(layer) is not None] if in_3d else []
        return (stacks or here)[-1]

    def _show_only(self, image: Image, picture: Image) -> None:
        """Hide what covers the image, and other pictures of it; bring back what need not be."""
        layers, own = self._viewer.layers, made_of(self._viewer, image)
        field, above = field_of(image), layers[layers.index(image) + 1 :]
        away = {layer for layer in pictures_of(self._viewer, image) if layer is not picture}
        for layer in above:
            if layer in own or not isinstance(layer, Image) or layer.blending not in _COVERING:
                continue
            belongs_elsewhere = not is_inferred(layer) or _is_of_an_image(layer)
            if belongs_elsewhere and field_of(layer).overlaps(field):
                away.add(layer)
        self._bring_back({*self._put_away} - away)
        for layer in away:
            if layer.visible:
                layer.visible = False
                self._put_away.add(layer)

    def _divide(self, stride: int) -> None:
        """Make two panes, the first of so many layers."""
        grid = self._viewer.canvas.grid
        if self._grid_before is None:
            self._grid_before = grid.enabled, grid.stride, grid.shape, grid.spacing
            self._fit_timer.start()
        if self._viewer.dims.ndim != self._ndim:  # napari sets the view anew then.
            self._ndim = self._viewer.dims.ndim
            self._fit_timer.start()
        self._busy = True
        try:
            grid.stride, grid.shape, grid.spacing = stride, (1, -1), _GAP_PX
            grid.enabled = True
        finally:
            self._busy = False

    def _restore_grid(self, *, enabled: bool | None = None) -> None:
        """Set napari's grid as it was before, if it was changed here."""
        if self._grid_before is None:
            return
        before, self._grid_before = self._grid_before, None
        grid = self._viewer.canvas.grid
        self._busy = True
        try:
            grid.stride, grid.shape, grid.spacing = before[1:]
            grid.enabled = before[0] if enabled is None else enabled
        finally:
            self._busy = False
        self._fit_timer.start()

    def _bring_back(self, layers: set[Layer]) -> None:
        for layer in layers:
            self._put_away.discard(layer)
            if layer in self._viewer.layers:
                layer.visible = True

    def _on_enabled(self, _: Any) -> None:
        """Leave the grid to a user who has switched it off."""
        if self._grid_before is not None and not self._busy:
            self._wanted = False
            self._restore_grid(enabled=self._viewer.canvas.grid.enabled)
            self._bring_back({*self._put_away})
            self.left_by_user.emit()


def _is_picture(layer: Layer) -> bool:
    """Whether a layer is to be seen on the right: not how surely a surface was found."""
    return is_inferred(layer) and CONFIDENCE not in layer.metadata


def _is_of_an_image(layer: Layer) -> bool:
    """Whether a result is known to be made of an image that is open."""
    record = record_of(layer)
    return record is not None and record.source is not None and record.source() is not None
