"""The image layer that a run fills."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from weakref import ref

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_deepz.provenance import Provenance
from napari_deepz.widgets.refocusing.exporting.repeating import flat_through
from napari_deepz.widgets.refocusing.refocus_task import PlaneDone
from napari_deepz.widgets.shared.contrast import link_contrast
from napari_deepz.widgets.shared.placement import Frame, length_um
from napari_deepz.widgets.shared.plain_text import layer_name
from napari_deepz.widgets.shared.requests import RefocusRequest
from napari_deepz.widgets.shared.results import (
    CONFIDENCE,
    RESULT,
    ResultRecord,
    made_of,
    results_in,
)
from napari_deepz.widgets.shared.room_beside import room_beside_um

_ONE_PLANE_STEP_UM = 1.0
_STACK_NDIM = 3


class ResultLayer:
    """A layer of virtual planes that grows while a run goes on.

    Flat ranges become a stack with z, in ascending order; other surfaces one plane without z.
    Former results of the same image are hidden, as they would lie under it, unless they are of
    another time or channel. The slider for z stays where it was; the plane there comes first.
    The layer is added at once, black: napari takes some tenths of a second for that, which the
    user feels less right after a click than in the middle of a run.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer.
    source : Image
        The layer that is refocused; contrast and colours are taken from it.
    frame : Frame
        Where its plane lies.
    request : RefocusRequest
        The run.
    beside : bool
        Place the layer to the right of the image instead of over it.
    focus_um : float, optional
        Depth at which the user looks where there is no slider for z yet.

    Attributes
    ----------
    canvas : ndarray
        (n, Y, X) float32, the pixels of the layer in the order of the run; whoever fills a plane
        calls `take` then, in the main thread.
    shown_um : float
        Depth relative to the input at which the viewer stands.
    """

    def __init__(
        self,
        viewer: Any,
        source: Image,
        frame: Frame,
        request: RefocusRequest,
        *,
        beside: bool,
        focus_um: float = 0.0,
    ) -> None:
        self._viewer = viewer
        self._frame = frame
        self._request = request
        depths_um = request.surface.uniform_z_um or ()
        self._depths_um = tuple(sorted(depths_um))
        self._descending = depths_um[:1] > depths_um[-1:]
        self._rows_done: list[int] = []
        self._lowest, self._highest = math.inf, -math.inf
        provenance = Provenance(kind="inferred", input_name=request.plane.name)
        own = made_of(viewer, source)
        beside_um = room_beside_um(viewer, own, frame, request.plane.shape)
        self._record = ResultRecord(
            request, self._depths_um, frame.origin_um[1], provenance, beside_um, ref(source)
        )
        self._hidden = [
            former
            for former in results_in(viewer)
            if former.visible and former in own and _covers(former, frame)
        ]
        for former in self._hidden:
            former.visible = False
        # Memory that was never written costs nothing, and reads as zeros: black.
        self._volume = np.zeros((len(request.surface), *request.plane.shape), np.float32)
        self.canvas = self._volume[::-1] if self._descending else self._volume
        data, placing = self._placed(self._volume, right_um=beside_um if beside else 0.0)
        self.shown_um = self._depth_now_um(focus_um)
        self.layer: Image = viewer.add_image(
            data,
            name=f"{layer_name(request.plane.title)} ({request.shows})",
            colormap=request.colormap_beside(source.colormap.name),
            metadata={RESULT: self._record},
            **placing,
        )
        link_contrast(viewer, source, self.layer)
        if self._depths_um:
            only_um = self._depths_um[0] if len(self._depths_um) == 1 else self.shown_um
            self._stay_at(only_um)

    def _depth_now_um(self, focus_um: float) -> float:
        """Depth at which the slider for z stands, relative to the input; the focus without one."""
        dims = self._viewer.dims
        axis = next((i for i, label in enumerate(dims.axis_labels) if label == "z"), None)
        depth_um = focus_um
        if axis is not None and axis in dims.not_displayed and dims.nsteps[axis] > 1:
            unit_um = length_um(dims.units[axis]) if dims.units else None
            depth_um = float(dims.point[axis]) * (unit_um or 1.0) - self._frame.z_um
        inside = bool(self._depths_um) and self._depths_um[0] <= depth_um <= self._depths_um[-1]
        return depth_um if inside else 0.0

    @property
    def is_lost(self) -> bool:
        """Whether the user has deleted the layer."""
        return self.layer not in self._viewer.layers

    def describe(self, provenance: Provenance) -> None:
        """Remember how the planes are made, in the order of the layer."""
        if (flat := flat_through(self._depths_um)) is not None:
            provenance = provenance.model_copy(update={"surfaces": [flat.model_dump(mode="json")]})
        self._record = replace(self._record, provenance=provenance)

    def take(self, done: PlaneDone) -> None:
        """Count a plane of the canvas as finished; it shows after `refresh`."""
        row = len(self._volume) - 1 - done.index if self._descending else done.index
        self._rows_done.append(row)
        self._lowest = min(self._lowest, done.lowest)
        self._highest = max(self._highest, done.highest)

    def refresh(self) -> None:
        """Show what was written."""
        if not self.is_lost:
            self.layer.refresh(thumbnail=False, extent=False, highlight=False)

    def _stay_at(self, depth_um: float) -> None:
        """Move the slider for z to a depth."""
        dims = self._viewer.dims
        axis = dims.ndim - self.layer.ndim + self._frame.z_axis
        if axis in dims.not_displayed:
            unit_um = length_um(dims.units[axis]) if dims.units else None
            dims.set_point(axis, (self._frame.z_um + depth_um) / (unit_um or 1.0))

    def finish(self) -> int:
        """Complete the record of a run, keep only the planes that it has finished, count them."""
        count, total = len(self._rows_done), len(self._volume)
        if self.is_lost:
            return 0
        if count == 0:
            self._viewer.layers.remove(self.layer)
            for former in self._hidden:
                former.visible = former in self._viewer.layers
            return 0
        if count < total:
            self._crop(count)
        self.layer.metadata[RESULT] = self._record
        low, high = self.layer.contrast_limits
        self.layer.contrast_limits_range = (min(low, self._lowest), max(high, self._highest))
        self.layer.refresh()
        return count

    def _crop(self, count: int) -> None:
        total, first = len(self._volume), min(self._rows_done)
        rows = slice(first, first + count)
        self._volume, self._depths_um = self._volume[rows], self._depths_um[rows]
        record = self._record.provenance
        note = f"Ended early, after {count} of {total} planes."
        ends_um = (self._depths_um[0], self._depths_um[-1])
        changes = {"notes": (*record.notes, note), "axial_range_um": ends_um}
        self._record = replace(self._record, z_um=self._depths_um)
        self.describe(record.model_copy(update=changes))
        self.layer.data, placing = self._placed(self._volume)
        self.layer.translate = (*placing["translate"][:-1], self.layer.translate[-1])
        name = layer_name(self._request.plane.title)
        self.layer.name = f"{name} ({self._request.shows}, {count} of {total} planes)"

    def _placed(
        self, planes: NDArray[np.float32], *, right_um: float = 0.0
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        depths_um = self._depths_um
        if not depths_um:
            return planes[0], self._frame.flat(right_um=right_um)
        step_um = depths_um[1] - depths_um[0] if len(depths_um) > 1 else _ONE_PLANE_STEP_UM
        return self._frame.stack(planes, depths_um[0], step_um, right_um=right_um)


def _covers(former: Image, frame: Frame) -> bool:
    """Whether a result would lie under a new one: at the same time point and channel."""
    at = [place for *_, place in frame.leading]
    if former.ndim != len(at) + _STACK_NDIM:
        return True
    translate = [*former.translate[:-2]]
    del translate[frame.z_axis]
    return bool(np.allclose(translate, at))


def show_confidence(viewer: Any, confidence: NDArray[np.float32], frame: Frame) -> None:
    """Show how surely the focus is known in each place of an image, in a layer that is hidden."""
    layer = next((layer for layer in viewer.layers if layer.metadata.get(CONFIDENCE)), None)
    if layer is not None:
        viewer.layers.remove(layer)
    selection = viewer.layers.selection
    before = selection.active
    viewer.add_image(
        confidence,
        name="Confidence of the focus (0 to 1)",
        colormap="magma",
        contrast_limits=(0, 1),
        opacity=0.6,
        visible=False,
        metadata={CONFIDENCE: True},
        **frame.flat(),
    )
    selection.active = before
