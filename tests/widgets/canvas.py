"""The canvas of a viewer as a hand finds it: places of the world, clicks, drags and keys.

A viewer's model without a window gets the clicks and drags as its canvas would hand them on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

_CLASS = "CanvasBackendDesktop"
_STEPS = 4
_PAUSE_S = 0.02
"""The canvas does not look at movements that follow each other within 10 ms."""


def canvas_of(viewer: Any) -> QWidget:
    """The widget in which the viewer paints its layers; the viewer is shown if it is not.

    There must be one viewer only.
    """
    if not _visible_canvases():
        viewer.show()
    (canvas,) = _visible_canvases()
    size = None
    while size != canvas.size():
        size = canvas.size()
        QApplication.processEvents()
    return canvas


def pixel_of(viewer: Any, world_yx: Sequence[float]) -> QPoint:
    """Where a place (y, x) of the world, in its units, is on the canvas of a viewer in 2D."""
    canvas, camera = canvas_of(viewer), viewer.scene.camera
    y, x = (np.asarray(world_yx, float) - camera.center[-2:]) * camera.zoom
    return QPoint(round(x + canvas.width() / 2), round(y + canvas.height() / 2))


def click(viewer: Any, world_yx: Any, modifier: Any = Qt.NoModifier) -> None:
    """Move the mouse to a place of the world and click there."""
    if not hasattr(viewer, "window"):
        _hand_on(viewer, (world_yx, world_yx), modifier)
        return
    canvas, at = canvas_of(viewer), pixel_of(viewer, world_yx)
    assert canvas.rect().contains(at), f"{world_yx} is not in view"
    _move(canvas, at)
    QTest.mouseClick(canvas, Qt.LeftButton, modifier, at)
    QApplication.processEvents()


def drag(viewer: Any, start_yx: Any, end_yx: Sequence[float]) -> None:
    """Press the mouse at a place of the world, move it in steps to another one, let go there."""
    if not hasattr(viewer, "window"):
        shares = np.linspace(0, 1, _STEPS + 1)
        _hand_on(viewer, [(1 - at) * np.array(start_yx) + at * np.array(end_yx) for at in shares])
        return
    canvas = canvas_of(viewer)
    start, end = (pixel_of(viewer, at) for at in (start_yx, end_yx))
    assert canvas.rect().contains(start), f"{start_yx} is not in view"
    _move(canvas, start)
    QTest.mousePress(canvas, Qt.LeftButton, Qt.NoModifier, start)
    for step in range(1, _STEPS + 1):
        _move(canvas, start + (end - start) * (step / _STEPS))
    QTest.mouseRelease(canvas, Qt.LeftButton, Qt.NoModifier, end)
    QApplication.processEvents()


def _move(canvas: QWidget, to: QPoint) -> None:
    """Move the mouse, and let the canvas deal with it before anything follows."""
    QApplication.processEvents()
    time.sleep(_PAUSE_S)
    QTest.mouseMove(canvas, to)
    QApplication.processEvents()


def _hand_on(viewer: Any, places_yx: Sequence[Any], modifier: Any = Qt.NoModifier) -> None:
    """Press at the first place, move over the others, let go at the last one."""
    moves = ((mouse_move_callbacks, "mouse_move", at) for at in places_yx[1:])
    steps = [
        (mouse_move_callbacks, "mouse_move", places_yx[0]),
        (mouse_press_callbacks, "mouse_press", places_yx[0]),
        *(moves if not np.array_equal(places_yx[0], places_yx[-1]) else ()),
        (mouse_release_callbacks, "mouse_release", places_yx[-1]),
    ]
    names = {Qt.NoModifier: (), Qt.ShiftModifier: ("Shift",), Qt.ControlModifier: ("Control",)}
    for number, (callbacks, kind, at) in enumerate(steps):
        viewer.cursor.position = (*viewer.dims.point[:-2], *np.asarray(at, float))
        zoom = viewer.scene.camera.zoom
        event = SimpleNamespace(
            type=kind,
            button=1,
            modifiers=names[modifier],
            pos=np.asarray(at, float)[::-1] * zoom,
            position=viewer.cursor.position,
            view_direction=None,
            up_direction=None,
            camera_zoom=zoom,
            dims_displayed=list(viewer.dims.displayed),
            dims_point=list(viewer.dims.point),
            is_dragging=kind == "mouse_move" and number > 1,
            handled=False,
        )
        for taker in (viewer, viewer.layers.selection.active):
            if taker is not None:
                callbacks(taker, ReadOnlyWrapper(event, exceptions=("handled",)))
    QApplication.processEvents()


def press_key(viewer: Any, key: Any, modifier: Any = Qt.NoModifier) -> None:
    """Press a key while the canvas has the keyboard."""
    canvas = canvas_of(viewer)
    canvas.setFocus()
    QTest.keyClick(canvas, key, modifier)
    QApplication.processEvents()


def _visible_canvases() -> list[QWidget]:
    return [
        widget
        for widget in QApplication.allWidgets()
        if type(widget).__name__ == _CLASS and widget.isVisible()
    ]
