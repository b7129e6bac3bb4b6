"""An image and what is made of it in two linked panes of napari's grid."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from napari.layers import Image, Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_deepz.widgets.shared.results import CONFIDENCE, is_inferred, made_of, pictures_of
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
        self._grid_before: tuple[int, tuple[int, int], float] | None = None
        # Layers change one after the other, and napari does not like to be changed meanwhile.
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._arrange)
        self._fit_timer = QTimer(self, singleShot=True, interval=_DRAWN_AFTER_MS)
        self._fit_timer.timeout.connect(viewer.reset_view)
        for event in ("inserted", "removed", "reordered"):
            getattr(viewer.layers.events, event).connect(self._soon)
        viewer.canvas.grid.events.enabled.connect(self._on_enabled)

    @property
    def are_shown(self) -> bool:
        """Whether there are two panes now."""
        return self._wanted and bool(self._viewer.canvas.grid.enabled)

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
        self._enable(False)
        self._bring_back(set(self._put_away))

    def _soon(self, _: Any = None) -> None:
        if self._wanted:
            self._timer.start()

    def _arrange(self) -> None:
        """Order the layers, and show what belongs to the chosen image only."""
        layers = self._viewer.layers
        inferred = [layer for layer in layers if _is_picture(layer)]
        has_both = self._image is not None and self._image in layers and bool(inferred)
        if not has_both or not self._wanted:
            self._enable(False)
            self._bring_back(set(self._put_away))
            self.arranged.emit()
            return
        self._clear_the_way()
        if [*layers][len(layers) - len(inferred) :] != inferred:
            for layer in inferred:
                layers.move(layers.index(layer), len(layers))
        grid = self._viewer.canvas.grid
        if self._grid_before is None:
            self._grid_before = grid.stride, grid.shape, grid.spacing
        grid.stride, grid.shape = len(layers) - len(inferred), (1, -1)
        grid.spacing = _GAP_PX
        self._enable(True)
        if self._viewer.dims.ndim != self._ndim:  # napari sets the view anew then.
            self._ndim = self._viewer.dims.ndim
            self._fit_timer.start()
        self.arranged.emit()

    def _clear_the_way(self) -> None:
        """Hide what covers the chosen image, or the topmost picture that is made of it."""
        image = self._image
        assert image is not None
        own, field = made_of(self._viewer, image), field_of(image)
        layers = self._viewer.layers
        shown = [
            layer
            for layer in pictures_of(self._viewer, image)
            if layer.visible or layer in self._put_away
        ]
        under = set() if self._viewer.dims.ndisplay == 3 else {*shown[:-1]}
        self._bring_back({*self._put_away} & own - under)
        for layer in layers[layers.index(image) + 1 :]:
            covers = isinstance(layer, Image) and layer.visible and layer.blending in _COVERING
            others = covers and layer not in own and field_of(layer).overlaps(field)
            if others or (layer in under and layer.visible):
                layer.visible = False
                self._put_away.add(layer)

    def _bring_back(self, layers: set[Layer]) -> None:
        for layer in layers:
            self._put_away.discard(layer)
            if layer in self._viewer.layers:
                layer.visible = True

    def _enable(self, enabled: bool) -> None:
        grid = self._viewer.canvas.grid
        if grid.enabled == enabled:
            return
        self._busy = True
        try:
            grid.enabled = enabled
        finally:
            self._busy = False
        if not enabled and self._grid_before is not None:
            grid.stride, grid.shape, grid.spacing = self._grid_before
            self._grid_before = None
        self._fit_timer.start()

    def _on_enabled(self, _: Any) -> None:
        if self._wanted and not self._busy:
            self._wanted = False
            self._bring_back(set(self._put_away))
            self.left_by_user.emit()


def _is_picture(layer: Layer) -> bool:
    """Whether a layer is to be seen on the right: not how surely a surface was found."""
    return is_inferred(layer) and CONFIDENCE not in layer.metadata
