"""Decisions of the dock that need neither napari nor Qt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_deepz.recipes.recipe import Source
from napari_deepz.surfaces import Curved, Flat, FromImage, Tilted
from napari_deepz.widgets.refocusing.session import (
    cautions_for,
    depth_range_um,
    make_request,
    model_facts,
    result_facts,
    whole_steps,
)
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.run_state import Phase, RunState
from tests.conftest import tiny_spec

SHAPE = (1000, 1200)


def plane(pixel_size_um=0.325, shape=SHAPE):
    return InputPlane("cells", shape, pixel_size_um, lambda: np.zeros(shape), Source(name="cells"))


def cautions(surface, **changes):
    chosen = plane(**changes)
    return cautions_for(surface, chosen, chosen.pixel_size_um or 0.325, tiny_spec())


def test_nothing_to_say():
    assert cautions(Flat(-10, 10, 0.5)) == []


@pytest.mark.parametrize(("pixel_size_um", "said"), [(0.331, False), (0.332, True), (0.1, True)])
def test_two_per_cent_of_pixel_size(pixel_size_um, said):
    assert bool(cautions(Flat(0), pixel_size_um=pixel_size_um)) == said


@pytest.mark.parametrize(
    ("surface", "said"),
    [
        (Flat(-10.0005), False),
        (Flat(0, 10.5, 0.5), True),
        (Tilted(2.9, 0), False),
        (Tilted(3.0, 0), True),
        (Curved(form="sphere", radius_um=5000), False),
        (Curved(form="paraboloid", radius_um=-1000), True),
    ],
)
def test_leaving_the_axial_range(surface, said):
    # 1200 pixels: the plane reaches 194.84 µm to each side, where tan(2.9°) gives 9.87 µm.
    assert any("do not trust" in caution for caution in cautions(surface)) == said


def test_an_unknown_pixel_size():
    assert "does not say" in cautions(Flat(0), pixel_size_um=None)[0]


def test_a_result_that_is_too_large():
    assert "GB of memory" in cautions(Flat(-10, 10, 0.5), shape=(8192, 8192))[0]


@pytest.mark.parametrize("surface", [Tilted(2, -1, 3), Curved(form="cylinder", radius_um=900)])
def test_the_quick_range_is_close_to_the_exact_one(surface):
    exact = surface.range_um(SHAPE, 0.325)
    np.testing.assert_allclose(depth_range_um(surface, SHAPE, 0.325), exact, atol=0.2)


def test_the_range_of_an_image_is_exact_and_its_shape_checked():
    depths = np.linspace(-3, 4, 40 * 50).reshape(40, 50)
    assert depth_range_um(FromImage(depths), (40, 50), 0.3) == (-3, 4)
    with pytest.raises(ValueError, match="same size"):
        depth_range_um(FromImage(depths), (50, 40), 0.3)


@pytest.mark.parametrize(
    ("given", "stop_um"),
    [(Flat(-10, 10, 0.5), 10), (Flat(0, 10, 3), 9), (Flat(0, -10, -3), -9), (Flat(0, 1, 5), 1)],
)
def test_whole_steps(given, stop_um):
    depths = whole_steps(given).uniform_z_um
    assert depths[-1] == stop_um
    assert np.ptp(np.diff(depths)) < 1e-6


def test_a_request_takes_the_images_own_pixel_size():
    request = make_request(plane(), Flat(1), Path("m"), typed_pixel_size_um=9)
    assert (request.sampling.pixel_size_um, request.notes) == (0.325, ())
    request = make_request(plane(None), Flat(1), Path("m"), typed_pixel_size_um=9, notes=("a",))
    assert request.sampling.pixel_size_um == 9
    assert request.notes[0] == "a"
    assert "9 µm was entered by hand" in request.notes[1]


def test_what_a_run_will_make():
    text = result_facts(Flat(-10, 10, 0.5), (1024, 1024))
    assert text == "flat, -10 to 10 µm in steps of 0.5 µm: 41 planes, 172 MB"


def test_what_a_model_was_made_for():
    spec = tiny_spec(training={"data": "simulated focal stacks"}, modality_out="confocal")
    assert model_facts(spec).splitlines() == [
        "20x/0.75 dry, NA 0.75, pixels of 0.325 µm",
        "-10 to 10 µm from the image's plane",
        "For a test",
        "From wide-field fluorescence to confocal",
        "Trained on simulated focal stacks",
    ]


def test_the_state_tells_what_happens():
    state = RunState()
    seen = []
    state.events.phase.connect(seen.append)
    state.cancel()
    assert state.phase is Phase.IDLE
    state.start("Refocusing…")
    assert state.fraction is None
    state.advance(0.25, "1 of 4")
    assert (state.fraction, state.message) == (0.25, "1 of 4")
    state.cancel()
    state.advance(0.5, "2 of 4")
    assert (state.fraction, state.message) == (0.5, "Cancelling…")
    state.end("done")
    assert seen == [Phase.RUNNING, Phase.CANCELLING, Phase.IDLE]


def test_the_session_needs_neither_napari_nor_qt():
    code = (
        "import sys, napari_deepz.widgets.refocusing.session;"
        "import napari_deepz.widgets.refocusing.refocus_task;"
        "assert not {'napari', 'qtpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_torch_that_cannot_be_loaded_is_a_sentence(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('c10.dll not found')")
    code = "import napari_deepz.widgets.refocusing.dock"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert "ImportError: PyTorch, which refocusing needs, cannot be loaded" in run.stderr
