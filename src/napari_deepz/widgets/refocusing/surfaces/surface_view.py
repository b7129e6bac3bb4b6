"""The surface in the viewer: a translucent mesh, coloured by depth, that can be dragged in 3D."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Points, Shapes
from napari.layers import Surface as SurfaceLayer
from napari.utils.colormaps import Colormap, ensure_colormap
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_deepz.surfaces import Surface
from napari_deepz.surfaces.base import RANGE_TOLERANCE_UM
from napari_deepz.widgets.refocusing.surfaces.surface_mesh import DepthGrid, depth_grid
from napari_deepz.widgets.shared.placement import Frame, length_um

NAME = "Surface (µm)"
OUTSIDE = "magenta"
"""Colour of what lies outside the range of depths that the model knows."""

_OPACITY = 0.4
_LEGEND_CORNER = "bottom_left"
"""At the top the canvas says what is inferred."""
_HELP = "Shift + drag the surface in 3D to move it along z"
_TURN_FIRST = "Turn the view with the mouse first: z now points straight at you."
_SMALLEST_SINE = 0.1
_DRAG_STEP_UM = 0.1
# napari shows of a surface in 2D only what is within half a data unit of the slider: with units
# this large the mesh is shown wherever the sliders are.
_ACROSS = 1e6


class SurfaceView:
    """One surface layer that follows the settings.

    In 3D the mesh lies in the volume. In 2D it lies flat over the image and only its colours tell
    the depth, so that it neither hides away from a plane nor lengthens the z slider.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layer.

    Attributes
    ----------
    dragged : Signal
        By how many µm the user has just dragged the surface along z, a multiple of 0.1 µm; add
        them up.
    removed : Signal
        The user has deleted the layer; the next `show` would make it again.
    """

    dragged = Signal(float)
    removed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: SurfaceLayer | None = None
        self._grid: DepthGrid
        self._frame: Frame
        self._placing: dict[str, Any] = {}
        self._range_um: tuple[float, float] | None = None
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def layer(self) -> SurfaceLayer | None:
        """The layer; None while it is not shown."""
        return self._layer

    def show(
        self,
        surface: Surface,
        shape: tuple[int, int],
        frame: Frame,
        axial_range_um: tuple[float, float] | None,
        *,
        focus_um: float = 0.0,
    ) -> None:
        """Show a surface, in the layer that there is or in a new one.

        Parameters
        ----------
        surface : Surface
            What to show.
        shape : tuple of int
            (Y, X) of the image in pixels.
        frame : Frame
            Where the image lies.
        axial_range_um : tuple of float or None
            Depths that the model knows: the ends of the colour scale, beyond which the surface is
            magenta. None: the scale reaches as far as the surface and nothing is marked.
        focus_um : float, optional
            Depth of the one plane that stands for a range of level planes.

        Raises
        ------
        ValueError
            If the surface does not suit the image; one sentence.
        """
        self._grid = depth_grid(surface, shape, frame.pixel_size_um, focus_um=focus_um)
        self._frame = frame
        placing = _placing(frame)
        if placing != self._placing:
            self.hide()
            self._placing = placing
        if self._layer is None:
            self._add(axial_range_um)
        else:
            self._layer.data = self._data()
            if axial_range_um is None or axial_range_um != self._range_um:
                self._colour(self._layer, axial_range_um)
        self._range_um = axial_range_um

    def hide(self) -> None:
        """Take the layer out of the viewer."""
        layer, self._layer = self._layer, None
        self._let_go()
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _add(self, axial_range_um: tuple[float, float] | None) -> None:
        selection = self._viewer.layers.selection
        before = selection.active
        layer = SurfaceLayer(
            self._data(), name=NAME, shading="none", opacity=_OPACITY, **self._placing
        )
        self._colour(layer, axial_range_um)
        for overlay in (layer.colorbar, layer.name_overlay):
            overlay.position, overlay.visible = _LEGEND_CORNER, True
        layer.help = _HELP
        self._viewer.add_layer(layer)
        self._layer = layer
        # Of the viewer: the surface is moved whichever layer is selected.
        self._viewer.mouse_drag_callbacks.append(self._drag)
        if isinstance(before, Points | Shapes):
            selection.active = before

    def _data(self) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float32]]:
        frame, depths_um = self._frame, self._grid.z_um.ravel()
        in_3d = self._viewer.dims.ndisplay == 3
        before: list[Any] = [at for *_, at in frame.leading]
        z_um = frame.z_um + depths_um if in_3d else frame.z_um
        before.insert(frame.z_axis, z_um / frame.units[0].um)
        y_um, x_um = np.meshgrid(self._grid.y_um, self._grid.x_um, indexing="ij")
        vertices = np.empty((len(depths_um), len(before) + 2))
        for axis, position in enumerate(before):
            vertices[:, axis] = position / _ACROSS
        vertices[:, -2:] = frame.world(np.column_stack([y_um.ravel(), x_um.ravel()]))
        return vertices, self._grid.faces, depths_um.astype(np.float32)

    def _colour(self, layer: SurfaceLayer, axial_range_um: tuple[float, float] | None) -> None:
        limits = _colour_limits(self._grid, axial_range_um)
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits
        layer.colormap = _colours(marked=axial_range_um is not None)

    def _on_ndisplay(self, _: Any) -> None:
        if self._layer is not None:
            self._layer.data = self._data()

    def _on_removed(self, _: Any) -> None:
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer = None
            self._let_go()
            self.removed.emit()

    def _let_go(self) -> None:
        if self._drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._drag)

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        layer = self._layer
        if layer is None or not layer.visible:
            return
        axis = self._viewer.dims.ndim - layer.ndim + self._frame.z_axis
        if not _grabs(layer, event) or axis not in event.dims_displayed:
            return
        if moved_along(axis, event.position, event.position, event.view_direction) is None:
            self._viewer.status = _TURN_FIRST
            return
        unit_um = length_um(self._viewer.dims.units[axis]) or 1.0
        pressed_at, sent = event.position, 0
        camera = viewer.scene.camera
        before, camera.mouse_pan = camera.mouse_pan, False
        try:
            while event.type != "mouse_release":
                yield
                if self._layer is not layer:
                    return
                moved = moved_along(axis, pressed_at, event.position, event.view_direction)
                steps = round((moved or 0.0) * unit_um / _DRAG_STEP_UM)
                if steps != sent:
                    self.dragged.emit(round((steps - sent) * _DRAG_STEP_UM, 6))
                    sent = steps
        finally:
            camera.mouse_pan = before


def moved_along(
    axis: int, start: ArrayLike, end: ArrayLike, view_direction: ArrayLike
) -> float | None:
    """How far a thing has to move along an axis of the world to stay under the mouse.

    Parameters
    ----------
    axis : int
        The axis.
    start, end : array-like
        Positions of the mouse in the world.
    view_direction : array-like
        In which direction the camera looks.

    Returns
    -------
    float or None
        In units of the world; None where the camera looks along the axis.
    """
    view = np.asarray(view_direction, np.float64)
    view = view / np.linalg.norm(view)
    drag = np.asarray(end, np.float64) - np.asarray(start, np.float64)
    drag -= (drag @ view) * view
    squared_sine = 1 - view[axis] ** 2
    if squared_sine < _SMALLEST_SINE**2:
        return None
    return float(drag[axis] / squared_sine)


def _placing(frame: Frame) -> dict[str, Any]:
    flat = frame.flat()
    labels, units = ([axis[column] for axis in frame.leading] for column in range(2))
    labels.insert(frame.z_axis, "z")
    units.insert(frame.z_axis, frame.units[0].unit)
    return {
        "axis_labels": (*labels, *flat["axis_labels"]),
        "units": (*units, *flat["units"]),
        "scale": (*(_ACROSS,) * len(labels), 1.0, 1.0),
    }


def _grabs(layer: SurfaceLayer, event: Any) -> bool:
    """Whether the left button was pressed on the surface in 3D, with Shift and nothing else."""
    if event.button != 1 or tuple(event.modifiers) != ("Shift",) or len(event.dims_displayed) != 3:
        return False
    hit = layer.get_value(
        event.position,
        view_direction=event.view_direction,
        dims_displayed=event.dims_displayed,
        world=True,
    )
    return hit is not None and hit[0] is not None


def _colour_limits(
    grid: DepthGrid, axial_range_um: tuple[float, float] | None
) -> tuple[float, float]:
    if axial_range_um is None:
        furthest_um = max(float(np.abs(grid.z_um).max()), 1.0)
        return -furthest_um, furthest_um
    low_um, high_um = axial_range_um
    return low_um - RANGE_TOLERANCE_UM, high_um + RANGE_TOLERANCE_UM


def _colours(*, marked: bool) -> Colormap:
    turbo = ensure_colormap("turbo")
    if not marked:
        return turbo
    return Colormap(
        turbo.colors,
        name="depth",
        controls=turbo.controls,
        low_color=OUTSIDE,
        high_color=OUTSIDE,
    )
