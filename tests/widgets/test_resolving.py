"""What the settings of the dock mean, and what it says about them, without a window."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.planning import plan_refocus
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Curved, Flat, FromImage, Surface, Tilted
from napari_deepz.widgets.refocusing.resolving import (
    ChosenModel,
    DockSettings,
    Ground,
    Resolved,
    depth_range_um,
    resolve,
    whole_steps,
)
from napari_deepz.widgets.refocusing.texts import cautions_for, model_facts, result_facts
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.run_state import Phase, RunState
from tests.conftest import tiny_spec
from tests.engine.fake_generators import AddDistance, model_of

SHAPE = (1000, 1200)
VIEW = View((0, 0), None)


def layer(pixel_size_um: float | None = 0.325, shape: tuple[int, int] = SHAPE) -> Image:
    sizes = {"scale": (pixel_size_um,) * 2, "units": ("um", "um")} if pixel_size_um else {}
    return Image(np.broadcast_to(np.uint8(0), shape), name="cells", **sizes)


def settled(surface: Surface, image: Image | None = None, **changes: Any) -> Resolved:
    settings = DockSettings(
        model=ChosenModel("tiny", Path("m"), tiny_spec()),
        make_surface=lambda _: (surface, surface.notes),
        focus_um=1.5,
        shows_focus=False,
        lacks_surface=False,
        typed_pixel_um=0.9,
        optics={},
        compute=Compute(),
    )
    return resolve(replace(settings, **changes), image or layer(), VIEW)


def cautions(surface: Surface, **changes: Any) -> list[str]:
    return cautions_for(settled(surface, layer(**changes)))


def test_nothing_to_say() -> None:
    assert cautions(Flat(-10, 10, 0.5)) == []


@pytest.mark.parametrize(("pixel_size_um", "said"), [(0.331, False), (0.332, True), (0.1, True)])
def test_two_per_cent_of_pixel_size(pixel_size_um: float, said: bool) -> None:
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
def test_leaving_the_axial_range(surface: Surface, said: bool) -> None:
    # 1200 pixels: the plane reaches 194.84 µm to each side, where tan(2.9°) gives 9.87 µm.
    assert any("do not trust" in caution for caution in cautions(surface)) == said


def test_a_caution_has_the_words_that_are_in_the_file() -> None:
    """The dock says before the run what the plan of the engine notes."""
    image, surface = layer(shape=(100, 120), pixel_size_um=0.5), Flat(0, 12, 4)
    plan = plan_refocus(
        (100, 120), [surface], model_of(AddDistance()), sampling=Sampling(pixel_size_um=0.5)
    )
    spec = model_of(AddDistance()).spec
    model = ChosenModel("known", Path("m"), spec)
    assert tuple(cautions_for(settled(surface, image, model=model))) == plan.notes
    assert len(plan.notes) == 1


def test_an_unknown_pixel_size() -> None:
    found = settled(Flat(0), layer(None))
    caution = cautions_for(found)[0]
    assert "does not say its pixel size; 0.9 µm is taken, as filled in for it" in caution
    assert found.request is not None
    assert found.request.sampling == Sampling(pixel_size_um=0.9)
    assert found.request.notes[0] in cautions_for(found)
    assert found.shown is None
    assert "is not known: enter it below its name" in found.shown_problem
    assert "which no microscope has" in settled(Flat(0), layer(None), typed_pixel_um=1e4).problem


def test_optics_and_computation_get_into_the_recipe() -> None:
    compute = Compute(device="cpu", precision="bfloat16")
    optics = {"na": 0.75, "immersion_index": 1.0, "wavelength_um": None}
    found = settled(Flat(0), optics=optics, compute=compute).request
    assert found is not None
    assert found.recipe.sampling == Sampling(pixel_size_um=0.325, na=0.75, immersion_index=1.0)
    assert found.recipe.compute == compute
    assert found.recipe.model.name == "tiny"
    assert "is not possible" in settled(Flat(0), optics=optics | {"na": 1.4}).problem
    other = cautions_for(settled(Flat(0), optics={"na": 0.3}))
    assert "taken at NA 0.3 and the model 'tiny' was made for 20x/0.75 dry (NA 0.75)" in other[0]


def test_what_is_looked_at_is_the_surface_or_the_plane_at_the_focus() -> None:
    def too_few(_: Ground) -> tuple[Surface, tuple[str, ...]]:
        raise ValueError("Set three anchors.")

    shown = settled(Tilted(1, 0)).shown
    assert shown is not None
    assert shown.surface == Tilted(1, 0)
    for changes in ({"shows_focus": True}, {"lacks_surface": True, "make_surface": too_few}):
        found = settled(Flat(-4, 4, 1), **changes)
        assert found.shown is not None
        assert found.shown.surface == Flat(1.5)
    found = settled(Flat(0), make_surface=too_few)
    assert (found.request, found.shown) == (None, None)
    assert (found.problem, found.shown_problem) == ("Set three anchors.",) * 2


def test_what_is_missing_is_said() -> None:
    assert settled(Flat(0), model=None).problem == "Open a model first."
    settings = DockSettings(None, lambda _: (Flat(0), ()), 0, False, False, 1, {}, Compute())
    assert resolve(settings, None, VIEW).problem == "Open an image first."
    colours = Image(np.zeros((40, 50, 3), np.uint8), rgb=True, name="photo")
    assert "'photo' is a colour image" in settled(Flat(0), colours).problem
    unfit = settled(FromImage(np.zeros((3, 4))))
    assert "same size" in unfit.problem


def test_a_result_that_is_too_large() -> None:
    assert "GB of memory" in cautions(Flat(-10, 10, 0.5), shape=(8192, 8192))[0]


@pytest.mark.parametrize("surface", [Tilted(2, -1, 3), Curved(form="cylinder", radius_um=900)])
def test_the_quick_range_is_close_to_the_exact_one(surface: Tilted | Curved) -> None:
    exact = surface.range_um(SHAPE, 0.325)
    np.testing.assert_allclose(depth_range_um(surface, SHAPE, 0.325), exact, atol=0.2)


def test_the_range_of_an_image_is_exact_and_its_shape_checked() -> None:
    depths = np.linspace(-3, 4, 40 * 50).reshape(40, 50)
    assert depth_range_um(FromImage(depths), (40, 50), 0.3) == (-3, 4)
    with pytest.raises(ValueError, match="same size"):
        depth_range_um(FromImage(depths), (50, 40), 0.3)


@pytest.mark.parametrize(
    ("given", "stop_um"),
    [(Flat(-10, 10, 0.5), 10), (Flat(0, 10, 3), 9), (Flat(0, -10, -3), -9), (Flat(0, 1, 5), 1)],
)
def test_whole_steps(given: Flat, stop_um: int) -> None:
    depths = whole_steps(given).uniform_z_um
    assert depths[-1] == stop_um
    assert np.ptp(np.diff(depths)) < 1e-6


def test_what_a_run_will_make() -> None:
    text = result_facts(Flat(-10, 10, 0.5), (1024, 1024))
    assert text == "flat, -10 to 10 µm in steps of 0.5 µm: 41 planes, 172 MB"
    assert result_facts(Flat(-10, 10, 0.5), (2880, 2880)).endswith("41 planes, 1.36 GB")


def test_what_a_model_was_made_for() -> None:
    spec = tiny_spec(training={"data": "simulated focal stacks"}, modality_out="confocal")
    assert model_facts(spec).splitlines() == [
        "20x/0.75 dry (NA 0.75); works at pixels of 0.325 µm",
        "-10 to 10 µm from the image's plane",
        "For a test",
        "From wide-field fluorescence to confocal",
        "Trained on simulated focal stacks",
    ]


def test_the_state_tells_what_happens() -> None:
    state = RunState()
    seen: list[Any] = []
    state.events.phase.connect(seen.append)
    state.cancel()
    assert state.phase is Phase.IDLE
    state.start("Refocusing…")
    assert state.fraction is None
    state.advance(0.25, "1 of 4")
    assert (state.fraction, state.message) == (0.25, "1 of 4")  # type: ignore[comparison-overlap]
    state.cancel()
    state.advance(0.5, "2 of 4")
    assert (state.fraction, state.message) == (0.5, "Cancelling…")  # type: ignore[comparison-overlap]
    state.end("done")
    assert seen == [Phase.RUNNING, Phase.CANCELLING, Phase.IDLE]


def test_the_task_needs_neither_napari_nor_qt() -> None:
    code = (
        "import sys, napari_deepz.widgets.refocusing.refocus_task;"
        "assert not {'napari', 'qtpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_torch_that_cannot_be_loaded_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('c10.dll not found')")
    code = "import napari_deepz.widgets.refocusing.dock"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert "ImportError: PyTorch, which refocusing needs, cannot be loaded" in run.stderr
