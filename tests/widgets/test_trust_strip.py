"""The strip that never folds: light, verdict, what is known and what to be careful about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtGui import QDesktopServices

from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.surface_form import ANCHORS
from napari_deepz.widgets.refocusing.trust_strip import Light
from napari_deepz.widgets.shared.forms import HOW_FAR
from napari_deepz.widgets.shared.plain_text import tooltip
from tests.widgets.conftest import add_image, set_range


def light(dock: VirtualRefocusing) -> str:
    dock.review()
    shown = dock.trust.light.styleSheet()
    (found,) = [one.name for one in Light if one.value in shown]
    assert dock.trust.light.accessibleName() == f"Trust: {found.lower()}"
    return found


def test_the_objective_is_asked_for_where_it_is_not_known(dock: VirtualRefocusing) -> None:
    assert light(dock) == "YELLOW"
    assert "Objective not known" in dock.trust.says.text()
    assert dock.trust.image.text() == "This image: 0.325 µm; objective not known"
    dock.forms.optics.objective.value = "20x/0.75 air"
    assert light(dock) == "GREEN"
    assert dock.trust.says.text() == "As tiny was made for"
    assert dock.trust.image.text() == "This image: 0.325 µm; NA 0.75"
    assert dock.trust.knows.text() == "Knows 20x/0.75 dry (NA 0.75), -10 to 10 µm"
    assert dock.trust.cautions.text() == ""


@pytest.mark.parametrize("objective", ["63x/1.4 oil", "10x/0.3 air"])
def test_another_objective_is_red(dock: VirtualRefocusing, objective: str) -> None:
    dock.forms.optics.objective.value = objective
    assert light(dock) == "RED"
    assert dock.trust.says.text() == "Not what tiny was made for"
    assert "do not trust the result" in dock.trust.cautions.text()
    set_range(dock, -1, 1, 1)
    dock.image.layer.scale = (0.5, 0.5)
    dock.review()
    first, *_ = dock.trust.cautions.text().splitlines()
    assert "do not trust" in first
    assert dock.trust.knows.toolTip().count("<qt>") <= 1


def test_depths_beyond_the_model_are_red(dock: VirtualRefocusing) -> None:
    dock.forms.optics.objective.value = "20x/0.75 air"
    set_range(dock, 0, 20, 1)
    assert light(dock) == "RED"
    assert "beyond the axial range" in dock.trust.cautions.text()


def test_an_entered_pixel_size_is_with_care(dock: VirtualRefocusing, pixels: np.ndarray) -> None:
    dock.viewer.add_image(pixels, name="bare")
    dock.forms.optics.objective.value = "20x/0.75 air"
    assert light(dock) == "YELLOW"
    assert "pixel size not known" in dock.trust.image.text()
    dock.image.sizes.use.native.click()
    dock.forms.optics.objective.value = "20x/0.75 air"
    assert light(dock) == "YELLOW"
    assert dock.trust.image.text() == "This image: 0.325 µm as entered; NA 0.75"


def test_nothing_is_said_without_an_image(dock: VirtualRefocusing) -> None:
    dock.viewer.layers.clear()
    assert light(dock) == "NONE"
    assert dock.trust.says.text() == ""


@pytest.mark.parametrize(
    "what", ["colour", "oblong pixels", "too few anchors", "too small", "no radius"]
)
def test_what_cannot_be_refocused_cannot_be_pressed(
    dock: VirtualRefocusing, pixels: np.ndarray, what: str
) -> None:
    if what == "colour":
        dock.viewer.add_image(np.zeros((64, 64, 3), np.uint8), name="colour", rgb=True)
    elif what == "oblong pixels":
        dock.viewer.layers["cells"].scale = (0.325, 0.5)
    elif what == "too few anchors":
        dock.surface.kind.value = ANCHORS
    elif what == "too small":
        add_image(dock, np.zeros((20, 20), np.uint8), "crumb")
        dock.image.choice.value = dock.viewer.layers["crumb"]
    else:
        dock.surface.kind.value = "Curved surface"
        dock.surface.radius.value = 0
    assert light(dock) == "RED"
    assert not dock.panel.refocus.isEnabled()
    assert not dock.panel.keep.isEnabled()
    assert not dock.panel.apply.isEnabled()
    assert dock.panel.refocus.toolTip() == tooltip(dock.forms.resolved().problem) != ""


def test_what_anchors_lack_is_said_once(dock: VirtualRefocusing) -> None:
    dock.surface.kind.value = ANCHORS
    dock.anchors.anchors.replace([(0, 0, 0)])
    dock.review()
    said = dock.anchors.text.text()
    assert said.startswith("1 of 3 anchors")
    texts = (dock.trust.cautions, dock.trust.says, dock.workbench.message)
    assert all(said not in text.text() for text in texts)


def test_the_page_on_trust_is_opened_in_the_browser(
    dock: VirtualRefocusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    dock.trust.link.click()
    assert opened == [HOW_FAR]


@pytest.mark.window
def test_it_is_never_folded_away_nor_scrolled(
    dock: VirtualRefocusing, pixels: np.ndarray, qtbot: Any
) -> None:
    dock.viewer.show()
    dock.viewer.window.resize(1280, 800)
    dock.viewer.add_image(pixels, name="bare")
    dock.forms.optics.objective.value = "63x/1.4 oil"
    set_range(dock, 0, 20, 1)
    dock.review()
    qtbot.wait(100)
    for part in (dock.trust.light, dock.trust.says, dock.trust.link):
        assert part.visibleRegion().boundingRect().contains(part.rect())
        assert part.width() > 5
    assert dock.trust.height() < 200
