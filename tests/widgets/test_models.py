"""Models from elsewhere in the dock: converted, added, described."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QFileDialog

from napari_deepz import Tilted, refocus
from napari_deepz.io.reading import read_image
from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.card import model_card
from napari_deepz.models.library import list_models, load_model
from napari_deepz.models.tensorflow import conversion
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.models.model_dialogs import ModelCard, NewModelDialog
from napari_deepz.widgets.shared.run_state import Phase
from tests.conftest import shared_file, write_tiny_model
from tests.widgets.conftest import Slowly, add_image, run, wait_idle

needs_tensorflow = pytest.mark.skipif(
    find_spec("tensorflow") is None, reason="needs the extra napari-deepz[tensorflow]"
)


def open_model(dock: VirtualRefocusing, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Press Open model… and choose a file."""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    dock.model.open.native.click()


def new_model_dialog(dock: VirtualRefocusing) -> NewModelDialog:
    (dialog,) = dock.findChildren(NewModelDialog)
    return dialog


def models_folder() -> Path:
    return Path(os.environ["NAPARI_DEEPZ_MODELS"])


def test_the_card_says_what_is_known(dock: VirtualRefocusing) -> None:
    dock.model.card.native.click()
    (card,) = dock.findChildren(ModelCard)
    assert card.isVisible()
    shown = card.text.toPlainText()
    for label, text in model_card(dock.model.spec):  # type: ignore[arg-type]
        assert label in shown
        assert text in shown
    card.close()


@needs_tensorflow
@pytest.mark.slow
def test_a_converted_model_refocuses_a_real_image_onto_a_tilted_plane(
    dock: VirtualRefocusing,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    graph = shared_file("fixtures/tf_saved_model/saved_model.pb")
    image = read_image(shared_file("data/celegans_embryo_cy3_plane20.png")).plane()
    open_model(dock, monkeypatch, graph)
    dialog = new_model_dialog(dock)
    assert (dialog.name.value, dialog.fields().axial_range_um) == ("tf_saved_model", (-10, 10))
    dialog.name.value = "from-the-lab"
    dialog.objective.value = "63x/1.4 oil"
    dialog.pixel_size.value = 0.0645
    dialog.go.click()
    assert dock.state.phase is Phase.RUNNING
    wait_idle(dock, qtbot)
    assert dock.model.package == models_folder() / "from-the-lab"
    assert dock.model.spec.na == 1.4
    assert "63x/1.4 oil (NA 1.4); works at pixels of 0.0645 µm" in dock.facts.model.text()
    assert "Converting the model took" in dock.panel.message.text()
    assert notified() == []

    dock.image.choice.value = add_image(dock, image, "embryo", scale=(0.0645, 0.0645))
    dock.surface.kind.value = "Tilted plane"
    dock.surface.tilt_x.value = 5
    layer = run(dock, qtbot)
    wanted = refocus(image, Tilted(5, 0), load_model("from-the-lab"), pixel_size_um=0.0645)
    assert layer.data.shape[-2:] == (712, 672)
    np.testing.assert_array_equal(np.squeeze(layer.data), wanted.data[0])


@needs_tensorflow
def test_cancelling_a_conversion_leaves_nothing(
    dock: VirtualRefocusing, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_model(dock, monkeypatch, shared_file("fixtures/tf_saved_model/saved_model.pb"))
    before = sorted(models_folder().iterdir())
    new_model_dialog(dock).go.click()
    dock.panel.cancel.click()
    wait_idle(dock, qtbot)
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)
    assert dock.panel.message.text() == "Converting the model was cancelled."
    assert sorted(models_folder().iterdir()) == before


def test_a_dialog_that_is_dismissed_does_nothing(
    dock: VirtualRefocusing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda _: True)
    (tmp_path / "saved_model.pb").touch()
    open_model(dock, monkeypatch, tmp_path / "saved_model.pb")
    new_model_dialog(dock).reject()
    assert dock.state.phase is Phase.IDLE


def test_a_broken_saved_model_is_one_sentence(
    dock: VirtualRefocusing,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda _: True)
    (tmp_path / "saved_model.pb").touch()
    open_model(dock, monkeypatch, tmp_path / "saved_model.pb")
    new_model_dialog(dock).go.click()
    wait_idle(dock, qtbot)
    ((severity, said),) = notified()
    assert severity == "error"
    assert "folder 'variables' with the weights is missing" in said


def test_without_tensorflow_the_dock_says_how_to_install_it(
    dock: VirtualRefocusing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    notified: Callable[[], list[tuple[str, str]]],
) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda _: None)
    (tmp_path / "saved_model.pb").touch()
    open_model(dock, monkeypatch, tmp_path / "saved_model.pb")
    ((severity, said),) = notified()
    assert severity == "error"
    assert "pip install 'napari-deepz[tensorflow]'" in said
    assert not dock.findChildren(NewModelDialog)


def test_a_model_opened_during_a_run_has_to_wait(
    dock: VirtualRefocusing,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    notified: Callable[[], list[tuple[str, str]]],
    slowly: Slowly,
) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda _: True)
    (tmp_path / "saved_model.pb").touch()
    dock.panel.refocus.click()
    open_model(dock, monkeypatch, tmp_path / "saved_model.pb")
    new_model_dialog(dock).go.click()
    assert "Something is still running" in notified()[-1][1]
    wait_idle(dock, qtbot)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # bioimageio.spec's own.
def test_a_bioimageio_package_is_added(
    dock: VirtualRefocusing, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bioimageio.spec", reason="needs the extra napari-deepz[bioimageio]")
    from napari_deepz.models.bioimageio import export_bioimageio

    model = load_model("tiny")
    export_bioimageio(model, tmp_path / "shared.zip")
    gc.collect()
    (models_folder() / "tiny").rename(tmp_path / "elsewhere")
    open_model(dock, monkeypatch, tmp_path / "shared.zip")
    dialog = new_model_dialog(dock)
    assert dialog.name.value == "shared"
    assert dialog.fields().axial_range_um is None
    dialog.go.click()
    wait_idle(dock, qtbot)
    assert dock.model.package == models_folder() / "shared"
    assert list_models()["shared"] == models_folder() / "shared"


@pytest.mark.parametrize(
    ("name", "lowest", "sentence"),
    [
        ("my lab", -10, "letters, digits, dots, dashes and"),
        ("tiny", -10, "'tiny'"),
        ("widefield-20x", -10, "'widefield-20x'"),
        ("lab", 20, "The largest distance must be larger"),
    ],
)
def test_the_dialog_stays_until_what_it_says_makes_sense(
    dock: VirtualRefocusing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    lowest: float,
    sentence: str,
) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda _: True)
    (tmp_path / "saved_model.pb").touch()
    open_model(dock, monkeypatch, tmp_path / "saved_model.pb")
    dialog = new_model_dialog(dock)
    dialog.name.value, dialog.lowest.value = name, lowest
    dialog.go.click()
    assert dialog.isVisible()
    assert sentence in dialog.problem.text()
    assert dock.state.phase is Phase.IDLE


def test_a_replaced_model_is_described_anew(dock: VirtualRefocusing) -> None:
    write_tiny_model(models_folder() / "tiny", objective="63x/1.4 oil", na=1.4)
    dock.model.add(models_folder() / "tiny")
    dock.review()
    assert "63x/1.4 oil" in dock.facts.model.text()


def test_a_model_that_is_gone_is_said_to_be_gone(dock: VirtualRefocusing) -> None:
    shutil.rmtree(models_folder() / "tiny")
    dock.review()
    assert "is not there any more" in dock.facts.model.text()
    dock.model.card.native.click()
    assert not dock.panel.refocus.isEnabled()
    dock.reset_choices()
    assert dock.model.spec.name == DEFAULT_MODEL


def test_another_model_suggests_its_own_pixel_size(
    dock: VirtualRefocusing, pixels: np.ndarray, tmp_path: Path
) -> None:
    dock.image.choice.value = dock.viewer.add_image(pixels)
    assert dock.image.sizes.pixel_size.value == 0.325
    dock.model.add(write_tiny_model(tmp_path / "other", name="other", pixel_size_um=0.0645))
    assert dock.image.sizes.pixel_size.value == 0.0645
    dock.image.sizes.pixel_size.value = 0.11
    dock.model.restore()
    assert dock.image.sizes.pixel_size.value == 0.11
