"""Live in a real viewer: the newest wish is shown, exactly, and nothing piles up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QObject

from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.engine.preview import Stage
from napari_deepz.engine.refocus import refocus
from napari_deepz.models.package import Model
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.surfaces.base import Surface
from napari_deepz.widgets.refocusing.live.live_task import LiveWork
from napari_deepz.widgets.refocusing.live.live_view import Live
from napari_deepz.widgets.shared.layers import frame_of, input_plane
from napari_deepz.widgets.shared.placement import View
from tests.widgets.conftest import PIXEL_UM, request_for


class Bench:
    """A viewer with an image, and Live on it."""

    def __init__(self, viewer: Any, model: Any, pixels: Any, qtbot: Any) -> None:
        self.viewer, self.model, self.qtbot = viewer, model, qtbot
        self.parent = QObject()
        self.live = Live(viewer, LastEncoding(), PlaneCache(), self.parent)
        self.shown: list[Any] = []
        self.failed: list[Any] = []
        self.live.shown.connect(self.shown.append)
        self.live.failed.connect(self.failed.append)
        self.source = viewer.add_image(
            pixels,
            name="cells",
            scale=(PIXEL_UM, PIXEL_UM),
            units=("um", "um"),
            axis_labels=("y", "x"),
        )

    def show(self, surface: Surface) -> None:
        view = View.of(self.viewer)
        plane = input_plane(self.source, view)
        request = request_for(plane, surface, self.model.source)
        self.live.show(request, self.source, frame_of(self.source, view), beside=True)

    def wait_exact(self, generation: Any) -> None:
        self.qtbot.waitUntil(
            lambda: (
                bool(self.shown)
                and self.shown[-1].generation == generation
                and self.shown[-1].preview.stage is Stage.EXACT
            ),
            timeout=20_000,
        )

    def truth(self, surface: Surface) -> Any:
        return refocus(self.source.data, surface, self.model, pixel_size_um=PIXEL_UM).data[0]


@pytest.fixture
def bench(
    make_viewer: Callable[[], Any], model: Model, pixels: np.ndarray, qtbot: Any
) -> Iterator[Bench]:
    bench = Bench(make_viewer(), model, pixels, qtbot)
    yield bench
    bench.live.stop()
    qtbot.waitUntil(lambda: bench.live.is_idle, timeout=5000)


@pytest.mark.parametrize("surface", [Flat(1.5), Tilted(2, -1)], ids=["flat", "tilted"])
def test_the_pixels_are_those_of_a_run(bench: Bench, surface: Flat | Tilted) -> None:
    bench.show(surface)
    bench.wait_exact(1)
    layer = bench.viewer.layers["cells (live)"]
    np.testing.assert_array_equal(layer.data, bench.truth(surface))
    assert layer.units == bench.source.units
    assert layer.axis_labels == ("y", "x")
    np.testing.assert_allclose(layer.scale, PIXEL_UM)
    assert layer.translate[1] > bench.source.extent.world[1, 1]


def test_of_many_wishes_only_the_newest_is_worked_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = [], threading.Event()
    genuine = LiveWork.preview

    def gated(self: Any, request: Any, generation: Any, *rest: Any) -> None:
        begun.append(generation)
        gate.wait(10)
        genuine(self, request, generation, *rest)

    monkeypatch.setattr(LiveWork, "preview", gated)
    for step in range(1, 41):
        bench.show(Flat(step / 10))
    gate.set()
    bench.wait_exact(40)
    assert begun == [1, 40]
    np.testing.assert_array_equal(bench.live.target.layer.data, bench.truth(Flat(4)))
    assert [layer.name for layer in bench.viewer.layers] == ["cells", "cells (live)"]


def test_after_stop_nothing_is_shown_and_the_layer_is_gone(bench: Bench) -> None:
    bench.show(Flat(1))
    bench.live.stop()
    bench.qtbot.waitUntil(lambda: bench.live.is_idle, timeout=5000)
    assert bench.shown == []
    assert [layer.name for layer in bench.viewer.layers] == ["cells"]


def test_pixels_changed_in_place_are_seen(bench: Bench) -> None:
    bench.show(Flat(1))
    bench.wait_exact(1)
    bench.source.data[:] = bench.source.data[::-1].copy()
    bench.show(Flat(1))
    bench.wait_exact(2)
    np.testing.assert_array_equal(bench.live.target.layer.data, bench.truth(Flat(1)))


def test_a_deleted_layer_is_made_again_by_the_next_wish(bench: Bench) -> None:
    bench.show(Flat(1))
    bench.viewer.layers.remove("cells (live)")
    bench.qtbot.waitUntil(lambda: bench.live.is_idle, timeout=5000)
    assert [layer.name for layer in bench.viewer.layers] == ["cells"]
    bench.show(Flat(2))
    bench.wait_exact(2)
    np.testing.assert_array_equal(bench.live.target.layer.data, bench.truth(Flat(2)))


@pytest.mark.window
def test_another_image_gets_a_layer_of_its_size(bench: Bench, rng: np.random.Generator) -> None:
    bench.show(Flat(1))
    bench.source.data = rng.integers(0, 4000, (50, 70), dtype=np.uint16)
    bench.show(Flat(1))
    bench.wait_exact(2)
    np.testing.assert_array_equal(bench.live.target.layer.data, bench.truth(Flat(1)))
    assert len(bench.viewer.layers) == 2


def test_a_model_that_is_gone_is_told_once(bench: Bench) -> None:
    bench.model.source.joinpath("model.json").unlink()
    bench.show(Flat(1))
    bench.qtbot.waitUntil(lambda: bool(bench.failed), timeout=5000)
    (error,) = bench.failed
    assert isinstance(error, ValueError)


def test_it_places_its_layer_over_the_image_too(bench: Bench) -> None:
    bench.show(Flat(1))
    bench.live.place(beside=False)
    assert bench.live.target.layer.translate[1] == bench.source.translate[1]


def test_the_selected_layer_stays_selected(bench: Bench) -> None:
    selection = bench.viewer.layers.selection
    assert selection.active == bench.source
    bench.show(Flat(1))
    assert selection.active == bench.source
    bench.wait_exact(1)


def test_an_image_that_was_moved_down_is_followed(bench: Bench) -> None:
    bench.show(Flat(1))
    bench.source.translate = (5, 0)
    bench.show(Flat(1))
    bench.wait_exact(2)
    assert bench.live.target.layer.translate[0] == 5
    assert len(bench.viewer.layers) == 2
