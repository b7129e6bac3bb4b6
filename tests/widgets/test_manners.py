"""The dock as a window: it fits, folds, can be used by keyboard, explains itself, remembers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFormLayout,
    QProgressBar,
    QScrollArea,
    QSlider,
)

from napari_deepz.models.package import Model
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.anchor_surfaces import ALONG, EXACT_UM, PLANE, SMOOTH
from napari_deepz.widgets.refocusing.surfaces.anchors import Tool
from napari_deepz.widgets.refocusing.surfaces.surface_form import (
    ANCHORS,
    CURVED,
    FLAT,
    LAYER,
    TILTED,
)
from napari_deepz.widgets.refocusing.view_form import LINKED, OVER
from napari_deepz.widgets.shared.forms import Section
from napari_deepz.widgets.shared.results import results_in
from tests.widgets.conftest import add_image, wait_idle

pytestmark = pytest.mark.window

KINDS = (FLAT, TILTED, CURVED, ANCHORS, LAYER)
SMALL_SCREEN_PX = (1280, 800)
CONTROLS = (QAbstractButton, QSlider, QAbstractSpinBox, QComboBox, QProgressBar)


@pytest.fixture
def shown(dock: VirtualRefocusing, qtbot: Any) -> VirtualRefocusing:
    """The dock in a window that can be seen, on a small screen."""
    window = dock.window()
    window.resize(*SMALL_SCREEN_PX)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=5000)
    return dock


def on_every_page(dock: VirtualRefocusing, qtbot: Any) -> Iterator[Any]:
    """Show one kind of surface after the other, and wait until the window has followed."""
    for kind in KINDS:
        dock.surface.kind.value = kind
        dock.surface.centred.value = False
        dock.anchors.form.value = SMOOTH
        qtbot.wait(150)
        yield kind


def controls_of(dock: VirtualRefocusing) -> list[Any]:
    """What a person can use, without the parts of which Qt puts other controls together."""
    inside = (QComboBox, QAbstractSpinBox, QScrollArea)
    return [
        widget
        for kind in CONTROLS
        for widget in dock.findChildren(kind)
        if not isinstance(widget.parent(), inside) and "qt_" not in widget.objectName()
    ]


def in_window(widget: Any) -> Any:
    """Where a widget lies in the part of its window that is not scrolled away."""
    return not widget.visibleRegion().isEmpty() and (
        widget.visibleRegion().boundingRect().contains(widget.rect())
    )


def test_nothing_is_cut_off_at_the_side(shown: VirtualRefocusing, qtbot: Any) -> None:
    (scrolled,) = (area for area in shown.findChildren(QScrollArea) if area.parent() is shown)
    for kind in on_every_page(shown, qtbot):
        assert scrolled.widget().width() == scrolled.viewport().width(), kind
        assert shown.width() < 400, kind
        for control in controls_of(shown):
            if control.isVisible():
                right = control.mapTo(shown, QPoint(control.width(), 0)).x()
                assert right <= shown.width(), (kind, control)
                if isinstance(control, QAbstractButton):
                    needed = control.minimumSizeHint().width()
                    assert control.width() >= needed, (kind, control.text())


def test_live_and_refocus_are_seen_without_scrolling(shown: VirtualRefocusing, qtbot: Any) -> None:
    for kind in on_every_page(shown, qtbot):
        panel = shown.panel
        for control in (panel.refocus, panel.cancel, panel.bar, panel.export, panel.restore):
            assert in_window(control), (kind, control)
        assert in_window(shown.workbench.live_switch.native), kind


def test_a_window_that_is_too_low_scrolls_but_keeps_the_run_in_sight(
    shown: VirtualRefocusing, qtbot: Any
) -> None:
    shown.surface.kind.value = CURVED
    shown.window().resize(1000, 500)
    qtbot.wait(50)
    for always in (shown.panel.refocus, shown.workbench.live_switch.native):
        assert in_window(always)
    assert not in_window(shown.view.choice.native)


def test_sections_fold_by_mouse_and_by_keyboard(shown: VirtualRefocusing) -> None:
    titles = {section.header.text()[2:]: section for section in shown.findChildren(Section)}
    assert list(titles) == [
        "Input",
        "NA, immersion, emission",
        "Model: tiny",
        "Computation",
        "Surface",
        "View",
        "Focus (µm)",
    ]
    section = titles["Surface"]
    QTest.mouseClick(section.header, Qt.LeftButton)
    assert section.folded
    assert not shown.surface.kind.native.isVisible()
    assert section.header.isVisible()
    section.header.setFocus()
    QTest.keyClick(section.header, Qt.Key_Space)
    assert shown.surface.kind.native.isVisible()
    assert not shown.facts.model.isVisible()
    QTest.keyClick(titles["Model: tiny"].header, Qt.Key_Space)
    assert "20x/0.75 dry" in shown.facts.model.text()
    assert shown.facts.model.isVisible()


def test_without_its_model_the_dock_unfolds_what_it_says_about_it(
    shown: VirtualRefocusing, model: Model
) -> None:
    (model.source / "model.json").unlink()
    shown.review()
    assert shown.facts.model.isVisible()


def test_texts_that_are_empty_take_no_room(shown: VirtualRefocusing) -> None:
    assert not shown.facts.shown.isVisible()
    assert shown.facts.result.isVisible()
    shown.viewer.layers.clear()
    shown.review()
    assert not shown.facts.result.isVisible()
    assert shown.facts.image.isVisible()


def test_tab_leads_through_everything_from_top_to_bottom(
    shown: VirtualRefocusing, qtbot: Any
) -> None:
    for kind in on_every_page(shown, qtbot):
        wanted = {
            control
            for control in controls_of(shown)
            if control.isVisible() and control.isEnabled() and control.focusPolicy() & Qt.TabFocus
        }
        first = next(s.header for s in shown.findChildren(Section))
        first.setFocus()
        walked = []
        while (now := QApplication.focusWidget()) and shown.isAncestorOf(now):
            if now in walked:
                break
            walked.append(now)
            QTest.keyClick(now, Qt.Key_Tab)
        assert wanted <= set(walked), (kind, [c.toolTip() for c in wanted - set(walked)])
        assert (shown.panel.refocus in walked) == shown.panel.refocus.isEnabled()
        tops = [widget.mapTo(shown, QPoint(0, widget.height() // 2)).y() for widget in walked]
        for above, below in pairwise(tops):
            assert below > above - 20, (kind, tops)


def test_the_control_with_the_keyboard_has_a_bright_frame(shown: VirtualRefocusing) -> None:
    def frame_of(button: Any) -> Any:
        return button.grab().toImage().pixelColor(button.width() // 2, 0).name()

    for button in (shown.panel.refocus, shown.findChildren(Section)[0].header):
        shown.image.choice.native.setFocus()
        assert frame_of(button) != "#5b8cff"
        button.setFocus()
        assert frame_of(button) == "#5b8cff"


def test_live_and_refocus_are_one_key_away(shown: VirtualRefocusing, qtbot: Any) -> None:
    live, window = shown.workbench.live_switch, shown.window().windowHandle()
    for on in (True, False):
        QTest.keyClick(window, Qt.Key_I, Qt.AltModifier)
        qtbot.waitUntil(lambda on=on: live.value is on, timeout=2000)
    QTest.keyClick(window, Qt.Key_M, Qt.AltModifier)
    qtbot.waitUntil(lambda: bool(results_in(shown.viewer)), timeout=5000)
    wait_idle(shown, qtbot)
    assert shown.viewer.layers[-1].data.shape[0] == 9


def told(widget: Any, dock: VirtualRefocusing) -> Any:
    """The tooltip that a person sees over a widget: its own, or that of what it lies in."""
    while widget is not dock and not widget.toolTip():
        widget = widget.parentWidget()
    return widget.toolTip()


def test_everything_has_a_tooltip(shown: VirtualRefocusing, qtbot: Any) -> None:
    for kind in on_every_page(shown, qtbot):
        for control in controls_of(shown):
            assert told(control, shown), (kind, control, getattr(control, "text", str)())
        for form in shown.findChildren(QFormLayout):
            for row in range(form.rowCount()):
                label = form.itemAt(row, QFormLayout.LabelRole).widget()
                assert not label.text() or label.toolTip(), (kind, label.text())


def test_quantities_say_their_unit(shown: VirtualRefocusing, qtbot: Any) -> None:
    for _ in on_every_page(shown, qtbot):
        for form in shown.findChildren(QFormLayout):
            for row in range(form.rowCount()):
                label = form.itemAt(row, QFormLayout.LabelRole).widget()
                field = form.itemAt(row, QFormLayout.FieldRole).widget()
                numbers = [*field.findChildren(QAbstractSpinBox)]
                if numbers or isinstance(field, QAbstractSpinBox):
                    has_unit = re.search(r"\((µm|°|nm|GB)\)", label.text())
                    assert has_unit or label.text() in ("NA", "Immersion index"), label.text()


def change_everything(dock: VirtualRefocusing) -> None:
    """Set every control to something else than its default."""
    dock.surface.kind.value = ANCHORS
    dock.anchors.form.value = ALONG
    dock.anchors.smoothing.value = 200
    dock.anchors.anchors.tool = Tool.PICK
    for name in ("start", "stop", "step", "centre_x", "centre_y"):
        setting = getattr(dock.surface, name)
        setting.value = setting.value + 1
    for name in ("tilt_x", "tilt_y", "tilt_offset", "radius", "vertex", "axis", "focus"):
        setting = getattr(dock.surface, name)
        setting.value = setting.value + 2
    dock.surface.form.value = "sphere"
    dock.surface.bend.value = dock.surface.bend.choices[1]
    dock.surface.centred.value = False
    dock.view.choice.value = OVER
    dock.workbench.live_switch.value = not dock.workbench.live_switch.value
    dock.workbench.mesh_switch.value = True


def settings_of(dock: VirtualRefocusing) -> Any:
    surface, anchors = dock.surface, dock.anchors
    names = (
        *("kind", "start", "stop", "step", "focus", "tilt_x", "tilt_y", "tilt_offset", "form"),
        *("radius", "bend", "centred", "centre_x", "centre_y", "vertex", "axis", "layer"),
    )
    return {name: getattr(surface, name).value for name in names} | {
        "anchors": (anchors.form.value, anchors.smoothing.value, anchors.anchors.tool),
        "model": dock.model.package,
        "placement": dock.view.choice.value,
        "live": dock.workbench.live_switch.value,
        "mesh": dock.workbench.mesh_switch.value,
    }


def test_restore_defaults_restores_everything(shown: VirtualRefocusing, qtbot: Any) -> None:
    dock = shown
    QTest.mouseClick(dock.panel.restore, Qt.LeftButton)
    defaults = settings_of(dock)
    assert defaults["placement"] == LINKED
    assert defaults["live"]
    assert defaults["anchors"] == (PLANE, EXACT_UM, Tool.NONE)
    change_everything(dock)
    changed = settings_of(dock)
    same = {name for name in defaults if defaults[name] == changed[name]}
    assert same == {"layer", "model"}
    QTest.mouseClick(dock.panel.restore, Qt.LeftButton)
    assert settings_of(dock) == defaults
    qtbot.waitUntil(lambda: dock.workbench.live.is_idle, timeout=10_000)
    assert {layer.name for layer in dock.viewer.layers} == {"cells", "Anchors", "cells (live)"}


def test_restored_defaults_are_what_the_next_dock_has(
    open_dock: Callable[..., VirtualRefocusing],
    make_viewer: Callable[[], Any],
    pixels: np.ndarray,
    qtbot: Any,
) -> None:
    viewer = make_viewer()
    first = open_dock(viewer)
    add_image(first, pixels)
    QTest.mouseClick(first.panel.restore, Qt.LeftButton)
    defaults = settings_of(first)
    change_everything(first)
    QTest.mouseClick(first.panel.restore, Qt.LeftButton)
    qtbot.waitUntil(lambda: first.workbench.live.is_idle, timeout=10_000)
    viewer.window.remove_dock_widget(first.parent())
    second = settings_of(open_dock(viewer))
    second["model"] = defaults["model"]  # The fixture chooses its own again.
    assert second == defaults
