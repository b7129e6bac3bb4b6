"""The switch `Live`: the picture follows while a slider, an anchor or the focus moves."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.engine.preview import Preview, Rectangle, Stage
from napari_deepz.widgets.refocusing.live.live_task import LiveWork, Shown
from napari_deepz.widgets.shared.background import Job
from napari_deepz.widgets.shared.contrast import link_contrast
from napari_deepz.widgets.shared.placement import Frame, lay
from napari_deepz.widgets.shared.plain_text import layer_name
from napari_deepz.widgets.shared.requests import RefocusRequest
from napari_deepz.widgets.shared.results import LIVE, made_of
from napari_deepz.widgets.shared.room_beside import room_beside_um


class LiveLayer:
    """An image layer that shows one virtual plane, and stays the same layer when it changes.

    Pixels that were not computed yet are NaN, which napari does not draw. The selected layer stays
    selected, and with it the tool of the mouse.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer.
    source : Image
        The measured layer; contrast and colours are taken from it.
    frame : Frame
        Where its plane lies.
    request : RefocusRequest
        What is shown first.
    beside : bool
        Place the layer to the right of the image instead of over it.
    """

    def __init__(
        self, viewer: Any, source: Image, frame: Frame, request: RefocusRequest, *, beside: bool
    ) -> None:
        self._viewer = viewer
        self.source = source
        self._frame = frame
        own = made_of(viewer, source)
        self.beside_um = room_beside_um(viewer, own, frame, request.plane.shape)
        self._pixels = np.full(request.plane.shape, np.nan, np.float32)
        self._shown: int | None = None
        self._is_spread = request.recipe.spread
        selection = viewer.layers.selection
        before = selection.active
        self.layer: Image = viewer.add_image(
            self._pixels,
            name=_name(request),
            colormap=request.colormap_beside(source.colormap.name),
            metadata={LIVE: True},
            **frame.flat(right_um=self.beside_um if beside else 0.0),
        )
        link_contrast(viewer, source, self.layer)
        selection.active = before

    @property
    def is_there(self) -> bool:
        """Whether the user has not deleted it."""
        return self.layer in self._viewer.layers

    def suits(self, source: Image, frame: Frame, request: RefocusRequest) -> bool:
        """Whether it can show a request without being made anew."""
        same_size = self._pixels.shape == request.plane.shape
        same_place = self._frame.flat() == frame.flat()
        same_kind = self._is_spread == request.recipe.spread
        return self.is_there and self.source is source and same_size and same_place and same_kind

    def place(self, *, beside: bool) -> None:
        """Put it to the right of the image that it is made from, or over it."""
        lay(self.layer, self._frame.flat(right_um=self.beside_um if beside else 0.0))

    def show(self, preview: Preview, generation: int) -> None:
        """Show a preview; a part stands alone unless it belongs to what is seen around it."""
        if preview.stage is Stage.PART and self._shown != generation:
            self._pixels[:] = np.nan
        self._pixels[preview.at] = preview.data
        self._shown = generation
        self.layer.refresh(thumbnail=False, extent=False, highlight=False)

    def view(self) -> Rectangle:
        """Rows and columns that the canvas shows; all of them in 3D."""
        shape = self._pixels.shape
        if self._viewer.dims.ndisplay == 3:
            return slice(0, shape[0]), slice(0, shape[1])
        corners: NDArray[Any] = self.layer.corner_pixels
        rows, columns = (
            slice(int(np.clip(first, 0, length)), int(np.clip(last + 1, 0, length)))
            for first, last, length in zip(*corners[:, -2:], shape, strict=True)
        )
        return rows, columns

    def remove(self) -> None:
        """Take the layer away, if it is there."""
        if self.is_there:
            self._viewer.layers.remove(self.layer)


def _name(request: RefocusRequest) -> str:
    kind = "live spread" if request.recipe.spread else "live"
    return f"{layer_name(request.plane.title)} ({kind})"


class Live(QObject):  # type: ignore[misc]
    """Shows the newest request, and drops those that it has no time for.

    One preview is worked on at a time; meanwhile only the newest request waits. What takes long
    is given up as soon as there is a newer one.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer.
    encoding : LastEncoding
        Shared with the runs of the dock.
    planes : PlaneCache
        Likewise.
    parent : QObject
        With whose destruction the work ends.
    """

    shown = Signal(object)
    failed = Signal(object)

    def __init__(
        self, viewer: Any, encoding: LastEncoding, planes: PlaneCache, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._work = LiveWork(encoding, planes)
        self._generation = self._begun = 0
        self._wanted: RefocusRequest | None = None
        self._job: Job | None = None
        self.target: LiveLayer | None = None
        self._begun_for: LiveLayer | None = None

    def show(self, request: RefocusRequest, source: Image, frame: Frame, *, beside: bool) -> None:
        """Show a surface of one plane as soon as possible, instead of what was asked for before."""
        target = self.target
        if target is None or not target.suits(source, frame, request):
            self._take_away()
            self.target = LiveLayer(self._viewer, source, frame, request, beside=beside)
            if beside:
                self._viewer.reset_view()
        elif target.layer.name != _name(request):
            target.layer.name = _name(request)
        self._wanted = request
        self._generation += 1
        if self._job is None:
            self._begin()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being computed."""
        return self._job is None

    def place(self, *, beside: bool) -> None:
        """Put the layer to the right of the image, or over it."""
        if self.target is not None:
            self.target.place(beside=beside)

    def forget(self) -> None:
        """Read the model and the image again for the next request."""
        self._work.forget()

    def stop(self) -> None:
        """Take the layer away and end the work."""
        self._generation += 1
        self._wanted = None
        self.forget()
        if self._job is not None:
            self._job.cancel()
        self._take_away()

    def _take_away(self) -> None:
        """Remove the layer, which is not taken for the user's doing."""
        target, self.target = self.target, None
        if target is not None:
            target.remove()

    def _begin(self) -> None:
        if self._wanted is None or self.target is None:
            return
        generation = self._begun = self._generation
        self._begun_for = self.target
        work = partial(
            self._work.preview,
            self._wanted,
            generation,
            self.target.view(),
            lambda: self._generation != generation,
        )
        self._job = Job(work, self)
        self._job.received.connect(self._take)
        self._job.finished.connect(self._on_end)
        self._job.aborted.connect(self._on_end)
        self._job.errored.connect(self._on_error)
        self._job.start()

    def _take(self, item: object) -> None:
        target = self.target
        if isinstance(item, Shown) and target is self._begun_for and target and target.is_there:
            target.show(item.preview, item.generation)
            self.shown.emit(item)

    def _on_end(self) -> None:
        self._job = None
        if self._begun != self._generation:
            self._begin()

    def _on_error(self, error: Exception) -> None:
        if self._begun == self._generation:
            self.failed.emit(error)
        self._on_end()
