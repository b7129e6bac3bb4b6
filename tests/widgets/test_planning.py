"""The dock that says how many planes are enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_deepz.analysis.exposures import plan_exposures
from napari_deepz.models.package import Model
from napari_deepz.widgets.shared.run_state import Phase
from tests.widgets.conftest import PIXEL_UM


@pytest.fixture
def stack(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(100, 999, (8, 64, 80), dtype=np.uint16)


@pytest.fixture
def dock(make_viewer: Callable[[], Any], add_dock: Callable[[Any, str], Any], model: Model) -> Any:
    dock = add_dock(make_viewer(), "Plan exposures")
    dock.model.reset_choices()
    dock.model.value = str(model.source)
    return dock


def add_stack(dock: Any, stack: np.ndarray, **changes: Any) -> Any:
    settings = {
        "name": "worm",
        "axis_labels": ("z", "y", "x"),
        "units": ("um",) * 3,
        "scale": (1.5, PIXEL_UM, PIXEL_UM),
    }
    return dock.viewer.add_image(stack, **settings | changes)


def wait_idle(dock: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=30_000)


def test_it_says_what_the_library_says(
    dock: Any, stack: np.ndarray, model: Model, qtbot: Any
) -> None:
    assert not dock.start.isEnabled()
    assert dock.says.text().startswith("Open a focal stack")
    add_stack(dock, stack)
    dock.start.click()
    wait_idle(dock, qtbot)
    expected = plan_exposures(stack, 1.5, model)
    assert dock.plan.trials == expected.trials
    assert dock.says.text() == expected.describe()
    assert dock.curves.isVisibleTo(dock)
    assert dock.curves.recommended.value() == len(expected.recommended.indices)
    dock.stack.value = None
    assert not dock.curves.isVisibleTo(dock)


def test_it_is_cancelled(dock: Any, rng: np.random.Generator, qtbot: Any) -> None:
    add_stack(dock, rng.integers(0, 999, (40, 256, 256), dtype=np.uint16))
    dock.start.click()
    dock.stop.click()
    wait_idle(dock, qtbot)
    assert dock.message.text() == "Planning was cancelled."
    assert dock.plan is None


def test_a_stack_without_a_z_step_is_refused(
    dock: Any, stack: np.ndarray, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    add_stack(dock, stack, units=("pixel", "um", "um"), scale=(1, PIXEL_UM, PIXEL_UM))
    dock.start.click()
    assert any("how far apart its planes are" in text for _, text in notified())


def test_two_planes_are_too_few(
    dock: Any, stack: np.ndarray, qtbot: Any, notified: Callable[[], list[tuple[str, str]]]
) -> None:
    add_stack(dock, stack[:2])
    dock.start.click()
    wait_idle(dock, qtbot)
    assert any("at least three planes" in text for _, text in notified())
    assert dock.message.text() == "Planning failed."


def test_a_stack_that_is_deleted_during_the_work_is_planned_no_more(
    dock: Any, rng: np.random.Generator, qtbot: Any
) -> None:
    layer = add_stack(dock, rng.integers(0, 999, (40, 256, 256), dtype=np.uint16))
    dock.start.click()
    dock.viewer.layers.remove(layer)
    wait_idle(dock, qtbot)
    assert dock.plan is None
    assert dock.says.text().startswith("Open a focal stack")
    assert not dock.start.isEnabled()
