"""Hostile texts: from a model's card, a layer, a file; nothing in them is obeyed anywhere."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari._qt.dialogs.qt_notification import NapariQtNotification
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QLabel, QMessageBox, QTextBrowser, QWidget

from napari_deepz import widgets
from napari_deepz.images import ImageFileError
from napari_deepz.models.package import SPEC_FILE, read_spec
from napari_deepz.widgets.readers import get_reader
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.models.model_dialogs import (
    ModelCard,
    ask_adding,
    ask_conversion,
)
from napari_deepz.widgets.shared.flipping import Flip
from napari_deepz.widgets.shared.layers import names_of
from napari_deepz.widgets.shared.plain_text import (
    PlainLabel,
    asked,
    distinct,
    ends_of,
    harmless,
    show_error,
    tooltip,
    visible,
)
from tests.conftest import write_tiny_model
from tests.widgets.conftest import add_image, run

IMAGE = "<img src=/dev/zero>"
LINK = '<a href="file:///etc/passwd">20x/0.75</a>'
TURNED = "abc\u202egpj.exe"
ESCAPE = "\x1b]0;owned\x07\x1b[31mred\x9b2J"
LONG = "very long " * 40_000
HOSTILE = (
    IMAGE,
    f"&lt;{IMAGE}",
    LINK,
    f"A&B {IMAGE}",
    f"first line\n{IMAGE}",
    f"<!-- --> {IMAGE}",
    "<b>bold</b>",
    "&amp;&#60;b&#62;",
    f"<?xml?>{IMAGE}",
    "</p><h1>h</h1>",
    f"{TURNED} {ESCAPE} {IMAGE}",
)
"""Each is taken for HTML by Qt where it guesses, or is obeyed otherwise."""


def is_obeyed(text: str) -> bool:
    """Whether a terminal or the order of characters obeys something in a text."""
    return any(character in text for character in "\x1b\x07\x9b\x00\u202e\u2066\u200f")


def read_as_qt_does(text: str) -> str:
    """What a person sees of a text where Qt guesses whether it is HTML."""
    if not Qt.mightBeRichText(text):
        return text
    document = QTextDocument()
    document.setHtml(text)
    return document.toPlainText()


@pytest.fixture
def hostile_model(tmp_path: Path) -> Path:
    """A model whose card is as bad as a card can be."""
    package = write_tiny_model(tmp_path / "hostile")
    path = package / SPEC_FILE
    card = json.loads(path.read_text())
    card |= {
        "name": "hostile",
        "objective": f"{IMAGE} {TURNED}",
        "description": f"{LINK}\n{IMAGE} {TURNED} {LONG}",
        "sample": f"&lt;{IMAGE}",
        "modality_in": LINK,
        "modality_out": f"<h1>{TURNED}</h1>",
        "licence": IMAGE,
        "citation": f"A&B {LINK} {LONG}",
        "version": "<b>1</b>",
        "pixel_size_um": 1e9,
        "training": {"data": IMAGE, "<i>x</i>": LINK},
    }
    path.write_text(json.dumps(card))
    return package


def check_texts(top: QWidget) -> list[str]:
    """Every label is plain, every tooltip says what it says; the texts."""
    found = []
    for widget in (top, *top.findChildren(QWidget)):
        tip = widget.toolTip()
        assert not is_obeyed(tip)
        assert len(tip) < 10_000
        if Qt.mightBeRichText(tip):
            assert tip.startswith("<qt>")
            assert "<" not in tip.replace("<br>", "")[4:-5]
        found.append(read_as_qt_does(tip))
        if isinstance(widget, QLabel):
            assert widget.textFormat() == Qt.TextFormat.PlainText, widget.text()
            assert not is_obeyed(widget.text())
            assert len(widget.text()) < 10_000
            found.append(widget.text())
    return found


@pytest.mark.window
def test_a_hostile_card_is_shown_as_it_is(
    open_dock: Callable[..., VirtualRefocusing],
    add_dock: Callable[[Any, str], Any],
    hostile_model: Path,
    pixels: np.ndarray,
    qtbot: Any,
) -> None:
    dock = open_dock()
    layer = add_image(dock, pixels, name=f"A&B {IMAGE} {TURNED} {ESCAPE}\nsecond line")
    dock.model.add(hostile_model)
    dock.model_card.folded = False
    dock.workbench.live_switch.value = True
    dock.review()
    texts = "\n".join(check_texts(dock))
    assert f"{IMAGE} abc�gpj.exe" in texts
    assert '<a href="file:///etc/passwd">20x/0.75</a>' in texts
    names = [name for name, _ in names_of(dock.viewer.layers, lambda each: each == layer)]
    assert names == [f"A&B {IMAGE} abc�gpj.exe ␛]0;owned␇␛[31mred�2J␊second line"]
    assert dock.image.choice.native.itemText(1) == names[0]
    assert dock.image.layer == layer
    assert 0.005 <= dock.image.sizes.pixel_size.value <= 20
    qtbot.waitUntil(lambda: dock.workbench.live.is_idle, timeout=20_000)
    check_texts(dock)
    dock.workbench.live_switch.value = False
    run(dock, qtbot)
    check_texts(dock)
    add_dock(dock.viewer, "Compare with measured stack")


def test_the_window_with_a_hostile_card(dock: VirtualRefocusing, hostile_model: Path) -> None:
    card = ModelCard(read_spec(hostile_model), dock)
    check_texts(card)
    (browser,) = card.findChildren(QTextBrowser)
    document = browser.document()
    text = document.toPlainText()
    for said in (f"{IMAGE} abc�gpj.exe", f"&lt;{IMAGE}", "<h1>abc�gpj.exe</h1>", "A&B <a href"):
        assert said in text
    assert not is_obeyed(text)
    html = document.toHtml()
    assert "<img" not in html
    assert "href" not in html.replace("href=&quot;", "")
    assert not browser.openLinks()
    card.close()


@pytest.mark.parametrize("ask", [ask_adding, ask_conversion])
def test_the_windows_about_hostile_files(dock: VirtualRefocusing, tmp_path: Path, ask: Any) -> None:
    folder = tmp_path / f"A&B <img src=x> {TURNED} \x1b[31m"
    folder.mkdir()
    dialog = ask(folder, dock)
    texts = check_texts(dialog)
    assert any("A&B <img src=x> abc�gpj.exe ␛[31m" in text for text in texts)
    assert not is_obeyed(dialog.name.value)
    dialog.name.value = IMAGE
    dialog.accept()
    assert "⚠" in "".join(check_texts(dialog))
    dialog.close()


@pytest.mark.parametrize("text", HOSTILE)
def test_wherever_qt_guesses_it_finds_no_html(
    text: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    assert not Qt.mightBeRichText(harmless(text))
    assert not is_obeyed(harmless(text))
    assert read_as_qt_does(tooltip(text)) == visible(text, lines=True)

    questions = []
    monkeypatch.setattr(QMessageBox, "question", lambda *given: questions.append(given[2]))
    asked(None, "Export", f"'{text}' exists already.")
    assert not Qt.mightBeRichText(questions[0])

    label = PlainLabel(text)
    label.setToolTip(text)
    check_texts(label)
    assert label.text() == visible(text, lines=True)


def test_napari_tells_of_hostile_things_in_plain_text(
    qtbot: Any, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    for text in HOSTILE:
        show_error(f"'{text}' could not be read.")
    for _, text in notified():
        notification = NapariQtNotification(text, "error")
        shown = QLabel.text(notification.message)
        assert not Qt.mightBeRichText(shown)
        assert not is_obeyed(shown)
        notification.deleteLater()
    assert len(notified()) == len(HOSTILE)


def test_ordinary_texts_stay_as_they_are() -> None:
    for text in ("A&B", "a < b > c", "x<3", "R&D; 5 µm", "שלום", "α-tubulin", "日本", "naïve 🙂"):
        assert visible(text) == harmless(text) == text
        assert read_as_qt_does(tooltip(text)) == text
    assert visible("one\ntwo\t", lines=True) == "one\ntwo\t"
    assert visible("one\ntwo") == "one␊two"
    assert tooltip("") == ""
    assert len(visible("x" * 1000)) == 200


def test_names_that_look_alike_are_counted_up() -> None:
    names = ["cells", "Cells", "cells", "a\u202e", "a\u202d", "CELLS (2)"]
    shown = [name for name, _ in distinct((name, None) for name in names)]
    assert shown == ["cells", "Cells (2)", "cells (3)", "a�", "a� (2)", "CELLS (2) (2)"]


def test_layers_whose_names_differ_in_capitals_can_each_be_chosen(
    open_dock: Callable[..., VirtualRefocusing], pixels: np.ndarray
) -> None:
    dock = open_dock()
    one, two = (add_image(dock, pixels, name=name) for name in ("Cells", "cells"))
    for layer in (two, one):
        assert layer in dock.image.choice.choices
        dock.image.choice.value = layer
        assert dock.image.layer == layer


def test_the_name_on_the_canvas_is_visible(make_viewer: Callable[[], Any]) -> None:
    viewer = make_viewer()
    layer = viewer.add_image(np.zeros((9, 9)), name=f"{TURNED}\n{ESCAPE}")
    flip = Flip(viewer, lambda: None)
    flip.start({"Virtual": layer})
    assert viewer.canvas.overlays.text.text == "Virtual\nabc�gpj.e…[31mred�2J"
    flip.stop()


def test_long_names_keep_both_ends() -> None:
    """A large font on a small screen leaves room for some 25 characters on the canvas."""
    name = "2026-11-27 day 4 adult unc-119 worm 17"
    assert ends_of(f"{name} before") == "2026-11-2… 17 before"
    assert ends_of(f"{name} after") != ends_of(f"{name} before")
    assert ends_of("exactly 20 character") == "exactly 20 character"


def test_files_with_hostile_names_are_opened_or_refused_in_plain_text(tmp_path: Path) -> None:
    name = "<img src=x>\x1b[31m\u202e"
    tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((40, 50), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ((_, arguments, _),) = get_reader(str(tmp_path / f"{name}.tif"))(  # type: ignore[misc]
            str(tmp_path / f"{name}.tif")
        )
    assert arguments["name"] == "‹img src=x>␛[31m�"
    (tmp_path / f"{name}2.tif").write_bytes(b"no image")
    with pytest.raises(ImageFileError) as caught:
        get_reader("a.tif")(str(tmp_path / f"{name}2.tif"))  # type: ignore[misc]
    assert not Qt.mightBeRichText(str(caught.value))
    assert not is_obeyed(str(caught.value))


FORBIDDEN = {"QLabel", "QMessageBox", "QErrorMessage", "show_error", "show_warning", "show_info"}


def test_only_one_module_shows_texts_where_qt_guesses() -> None:
    """Labels, questions and notifications come from the module that makes their texts plain."""
    folder = Path(widgets.__file__).parent
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in (
                "qtpy.QtWidgets",
                "napari.utils.notifications",
            ):
                names = {alias.name for alias in node.names}
                found |= {(path.name, name) for name in names & FORBIDDEN}
    assert found == {("plain_text.py", "QLabel"), ("plain_text.py", "QMessageBox")} | {
        ("forms.py", "QLabel")
    }
