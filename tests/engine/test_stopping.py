"""A run that ends early, for whatever reason, leaves nothing behind."""

import os
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.refocus import Budget, RefocusedPlane, iter_refocus, refocus
from napari_deepz.models.package import Model
from napari_deepz.surfaces import Flat
from napari_deepz.watch import Cancelled, Watch
from tests.engine.fake_generators import PIXEL_SIZE_UM, AddDistance, model_of

IMAGE = np.random.default_rng(0).integers(0, 4000, (256, 256)).astype(np.uint16)
ON_DISK: dict[str, Any] = Budget(code_bytes=0, memory_bytes=0)  # type: ignore[assignment]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Counts open files and names in the temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def count() -> Any:
        names = list(tmp_path.iterdir())
        if sys.platform != "linux":
            return len(names)
        links = [os.readlink(entry) for entry in _descriptors()]
        return len(names) + sum(link.startswith(str(tmp_path)) for link in links)

    return count


def _descriptors() -> list[Any]:
    return [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]


def planes(network: Any = None, **settings: Any) -> Generator[RefocusedPlane, None, None]:
    defaults: dict[str, Any] = {"budget": ON_DISK, "tile_px": 64}
    return iter_refocus(
        IMAGE,
        Flat(-2, 2, 1),
        model_of(network or AddDistance()),
        pixel_size_um=PIXEL_SIZE_UM,
        **defaults | settings,
    )


def stop_at_call(number: Any) -> Any:
    calls: list[None] = []

    def should_stop() -> Any:
        calls.append(None)
        return len(calls) >= number

    return should_stop


def test_the_scratch_file_is_gone_after_the_last_plane(scratch: Any) -> None:
    running = planes()
    next(running)
    assert scratch() == 1
    assert len(list(running)) == 4
    assert scratch() == 0


def test_the_scratch_file_is_gone_when_the_caller_closes_the_generator(scratch: Any) -> None:
    running = planes()
    next(running)
    running.close()
    assert scratch() == 0


def test_the_scratch_file_is_gone_when_the_caller_fails(scratch: Any) -> None:
    running = planes()
    next(running)
    with pytest.raises(KeyError):
        running.throw(KeyError("the layer was deleted"))
    assert scratch() == 0


def test_the_scratch_file_is_gone_when_the_generator_fails(scratch: Any) -> None:
    class Failing(AddDistance):
        def decode(self, code: Any, dpm_um: Any) -> Any:
            if self.log.count("decode") == 12:
                assert scratch() == 1
                raise FloatingPointError("bad weights")
            return super().decode(code, dpm_um)

    with pytest.raises(FloatingPointError):
        list(planes(Failing()))
    assert scratch() == 0


@pytest.mark.parametrize("call", [1, 2, 40, 100])
def test_the_scratch_file_is_gone_after_cancelling(scratch: Any, call: int) -> None:
    with pytest.raises(Cancelled):
        list(planes(watch=Watch(stop_at_call(call))))
    assert scratch() == 0


@pytest.mark.parametrize(
    "settings",
    [{}, {"budget": Budget()}, {"budget": Budget(code_bytes=0)}, {"tile_px": 256}],
)
def test_cancelling_takes_effect_before_the_next_tile(settings: dict[str, Any]) -> None:
    network = AddDistance()
    wanted: list[bool] = []
    running = planes(network, watch=Watch(lambda: bool(wanted)), **settings)
    next(running)
    wanted.append(True)
    so_far = list(network.log)
    with pytest.raises(Cancelled):
        next(running)
    assert network.log == so_far


def test_finished_planes_stay_valid_after_cancelling() -> None:
    done: list[RefocusedPlane] = []
    with pytest.raises(Cancelled):
        done.extend(planes(budget=Budget(), watch=Watch(lambda: len(done) == 2)))
    assert [plane.z_um for plane in done] == [-2, -1]
    step = done[1].data - done[0].data
    np.testing.assert_allclose(step, step.mean(), rtol=1e-4)


def test_a_constant_image_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        refocus(
            np.ones((64, 64)),
            Flat(1),
            model_of(AddDistance()),
            pixel_size_um=PIXEL_SIZE_UM,
            watch=Watch(lambda: True),
        )


def test_cancelling_does_not_wait_for_the_end_of_a_tile(tiny_model: Model) -> None:
    network: Any = tiny_model.network
    layers: list[str] = []
    hook = network.down[0].register_forward_hook(lambda *_: layers.append("first"))
    network.head.register_forward_hook(lambda *_: layers.append("last"))
    with pytest.raises(Cancelled):
        refocus(IMAGE, Flat(1), tiny_model, pixel_size_um=0.325, watch=Watch(lambda: bool(layers)))
    assert layers == ["first"]
    hook.remove()
