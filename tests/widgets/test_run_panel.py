"""Keep this image, make a stack, apply to others: what the buttons offer and make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QDialog

from napari_deepz.engine.refocus import refocus
from napari_deepz.models.package import Model
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.widgets.refocusing.applying import ApplyDialog
from napari_deepz.widgets.refocusing.dock import VirtualRefocusing
from napari_deepz.widgets.refocusing.surfaces.surface_form import TILTED
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.results import record_of, results_in
from tests.widgets.conftest import PIXEL_UM, Slowly, add_image, run, set_range, wait_idle


def truth(image: Any, surface: Any, model: Model) -> Any:
    return refocus(image, surface, model, pixel_size_um=PIXEL_UM).data


def test_a_stack_says_how_much_it_will_be(dock: VirtualRefocusing) -> None:
    assert dock.panel.refocus.text() == "&Make stack (9 planes, 0.184 MB)"
    assert not dock.panel.keep.isHidden()
    dock.surface.kind.value = TILTED
    dock.review()
    assert dock.panel.refocus.text() == "&Keep this image"
    assert dock.panel.keep.isHidden()


def test_the_plane_at_the_focus_is_kept(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any
) -> None:
    dock.surface.focus.value = 2.3
    dock.panel.keep.click()
    wait_idle(dock, qtbot)
    (layer,) = results_in(dock.viewer)
    np.testing.assert_array_equal(layer.data, truth(pixels, Flat(2.3), model))
    record = record_of(layer)
    assert record is not None
    assert record.z_um == (2.3,)
    assert record.provenance.surfaces == [Flat(2.3).model_dump(mode="json")]
    np.testing.assert_allclose(layer.translate[0], 2.3)


def test_a_surface_of_one_plane_is_kept(
    dock: VirtualRefocusing, model: Model, pixels: np.ndarray, qtbot: Any
) -> None:
    dock.surface.kind.value = TILTED
    dock.surface.tilt_x.value = 4
    dock.review()
    layer = run(dock, qtbot)
    np.testing.assert_array_equal(layer.data, truth(pixels, Tilted(4, 0), model)[0])


@pytest.fixture
def movie(dock: VirtualRefocusing, rng: np.random.Generator) -> Any:
    """Three time points of five planes, in the middle of the first."""
    set_range(dock, -1, 1, 1)
    data = rng.integers(100, 4000, (3, 5, 64, 80), dtype=np.uint16)
    layer = add_image(dock, data, "movie", units=("s", "um", "um", "um"))
    dock.image.choice.value = layer
    dock.viewer.dims.set_point((0, 1), (0, 2))
    dock.review()
    return layer


def chosen(monkeypatch: pytest.MonkeyPatch, **ranges: tuple[int, int]) -> list[str]:
    """Answer the dialog with ranges along its axes, by what they are called; what it said."""
    said: list[str] = []

    def answer(dialog: ApplyDialog) -> Any:
        for axis, name in enumerate("tz"):
            for end, at in zip(dialog.ranges[axis], ranges.get(name, ()), strict=False):
                end.value = at
        said.append(dialog.text.text())
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(ApplyDialog, "exec", answer)
    return said


def test_the_same_is_done_with_other_times(
    dock: VirtualRefocusing,
    movie: Any,
    model: Model,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = chosen(monkeypatch, t=(0, 2))
    dock.panel.apply.click()
    qtbot.waitUntil(lambda: len(results_in(dock.viewer)) == 3, timeout=20_000)
    wait_idle(dock, qtbot)
    assert said == ["3 images, each into a layer of its own: 0.184 MB"]
    for t, layer in enumerate(results_in(dock.viewer)):
        assert layer.name == f"movie t {t} z 2 (virtual)"
        assert layer.visible
        assert layer.translate[0] == t
        expected = truth(movie.data[t, 2], Flat(-1, 1, 1), model)
        np.testing.assert_array_equal(layer.data[0], expected)


def test_the_same_is_done_with_other_planes(
    dock: VirtualRefocusing, movie: Any, model: Model, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(monkeypatch, z=(4, 3))
    dock.panel.apply.click()
    qtbot.waitUntil(lambda: len(results_in(dock.viewer)) == 2, timeout=20_000)
    wait_idle(dock, qtbot)
    for z, layer in zip((3, 4), results_in(dock.viewer), strict=True):
        expected = truth(movie.data[0, z], Flat(-1, 1, 1), model)
        np.testing.assert_array_equal(layer.data[0], expected)
    assert dock.image.pinned[1] == 2  # The input itself stays what it was.


def test_cancel_ends_what_waits_too(
    dock: VirtualRefocusing,
    movie: Any,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    slowly: Slowly,
) -> None:
    chosen(monkeypatch, t=(0, 2))
    dock.panel.apply.click()
    qtbot.waitUntil(lambda: dock.panel.cancel.isEnabled(), timeout=5000)
    dock.panel.cancel.click()
    wait_idle(dock, qtbot)
    qtbot.wait(200)
    assert len(results_in(dock.viewer)) <= 1
    assert "cancelled" in dock.panel.message.text()


def test_what_does_not_fit_into_memory_cannot_be_applied(movie: Any, qtbot: Any) -> None:
    dialog = ApplyDialog(movie, (0, 2), 10**12, None)
    qtbot.addWidget(dialog)
    assert "more than is free" in dialog.text.text()
    assert not dialog.buttons.button(dialog.buttons.StandardButton.Ok).isEnabled()


def test_an_image_alone_has_no_others(dock: VirtualRefocusing) -> None:
    assert not dock.panel.apply.isEnabled()


def test_the_plane_that_is_shown_becomes_the_input(
    dock: VirtualRefocusing, movie: Any, qtbot: Any
) -> None:
    run(dock, qtbot)
    assert dock.image.pinned[1] == 2
    dock.viewer.dims.set_point(1, 3)
    assert dock.image.index()[1] == 2
    dock.image.axes.uses[1].native.click()
    assert dock.image.index()[1] == 3
    assert run(dock, qtbot).name == "movie t 0 z 3 (virtual)"
    assert View.of(dock.viewer).point[1] == 3


def test_the_depths_count_from_the_new_input(
    dock: VirtualRefocusing, movie: Any, qtbot: Any
) -> None:
    dock.workbench.live_switch.value = True
    run(dock, qtbot)
    dock.viewer.dims.set_point(1, 3)
    qtbot.waitUntil(lambda: dock.surface.focus.value == 1)
    dock.image.axes.uses[1].native.click()
    qtbot.waitUntil(lambda: dock.surface.focus.value == 0)
    assert dock.viewer.dims.point[1] == 3


def test_a_first_stack_is_seen_where_the_focus_was(dock: VirtualRefocusing, qtbot: Any) -> None:
    dock.surface.focus.value = 3
    layer = run(dock, qtbot)
    assert dock.viewer.dims.point[0] == 3
    qtbot.waitUntil(lambda: dock.facts.shown.text() == "Shown: z = 3 µm")
    text = "INFERRED (right)\n+3 µm\nfrom cells"
    qtbot.waitUntil(lambda: dock.viewer.canvas.overlays.text.text == text, timeout=2000)
    assert layer.visible


def test_a_failure_is_forgotten_with_the_next_setting(
    dock: VirtualRefocusing, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("It cannot be done.")

    monkeypatch.setattr("napari_deepz.widgets.refocusing.refocus_task.load_model", fail)
    dock.panel.refocus.click()
    wait_idle(dock, qtbot)
    assert dock.panel.message.text().startswith("Refocusing failed.")
    dock.surface.step.value = 2
    assert dock.panel.message.text().startswith("Computes on")


def test_the_model_is_remembered(
    open_dock: Callable[..., VirtualRefocusing], make_viewer: Callable[[], Any], model: Model
) -> None:
    viewer = make_viewer()
    first = open_dock(viewer)
    first.model.remembered.value = "widefield-20x-0.75"
    assert first.model.spec is not None
    assert first.model.spec.name == "widefield-20x-0.75"
    second = VirtualRefocusing(viewer)
    assert second.model.remembered.value == "widefield-20x-0.75"
    second.deleteLater()
    with pytest.raises(ValueError, match="not at hand"):
        first.model.remembered.value = "gone"
