"""Borders and broken pixels do not spoil the rest of an image, and are said."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_deepz import samples
from napari_deepz.engine.inputs import check_image
from napari_deepz.engine.refocus import Budget, EncodedImage, iter_refocus, refocus
from napari_deepz.intensity import fit_intensity
from napari_deepz.io.reading import read_image
from napari_deepz.models.library import load_model
from napari_deepz.surfaces import Flat, Tilted
from tests.engine.fake_generators import PIXEL_SIZE_UM, AddDistance, BoxBlur, model_of
from tests.engine.pictures import beads, framed, tissue
from tests.engine.test_lone_pixels import with_hot

WORM_UM = Flat(-6, 6, 6)
INNER = (slice(64, 192), slice(64, 192))


def worm() -> tuple[np.ndarray, np.ndarray]:
    """The middle plane of the sample, and the planes of `WORM_UM`; (256, 256) of each."""
    series = read_image(samples.WORM)
    middle = series.size("Z") // 2
    assert series.z_step_um
    steps = [round(z_um / series.z_step_um) for z_um in (-6, 0, 6)]
    stack = series.stack().astype(np.float32)
    top, left = ((length - 256) // 2 for length in stack.shape[1:])
    stack = stack[:, top : top + 256, left : left + 256]
    return stack[middle], stack[[middle + step for step in steps]]


def refocused(image: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    stack = refocus(image, WORM_UM, load_model(), pixel_size_um=0.325)
    return stack.data, stack.notes


def correlations(planes: np.ndarray, truth: np.ndarray, where: np.ndarray) -> np.ndarray:
    pairs = zip(planes, truth, strict=True)
    return np.array([np.corrcoef(plane[where], true[where])[0, 1] for plane, true in pairs])


# --- with the bundled model: nearly as good as an image without -----------------------------------


@pytest.mark.parametrize("value", [0, 65535, math.nan, -3.4e38])
def test_within_a_frame_the_image_is_refocused_as_if_it_were_cut_out(value: float) -> None:
    image, truth = worm()
    cut, _ = refocused(np.ascontiguousarray(image[INNER]))
    given = framed(image, value, 64)
    planes, notes = refocused(given)
    where = np.zeros(image.shape, bool)
    where[84:172, 84:172] = True
    wanted = correlations(cut, truth[:, *INNER], where[INNER])
    assert wanted[0] > 0.85
    assert (correlations(planes, truth, where) > wanted - 0.02).all()
    for plane in planes:
        np.testing.assert_array_equal(plane[given != image], given[given != image])
        assert np.isfinite(plane[INNER]).all()
    assert len(notes) == 1
    assert notes[0].startswith("75 % of the image hold one value, ")
    assert f", {np.float32(value):g}, in areas" in notes[0]


@pytest.mark.parametrize("order", [1, 3])
def test_a_turned_image_is_refocused_as_one_that_was_cut_out_is(order: int) -> None:
    image, truth = worm()
    turned = ndimage.rotate(image, 20, order=order)
    true = ndimage.rotate(truth, 20, axes=(1, 2), order=1)
    inside = ndimage.rotate(np.ones_like(image), 20, order=0) > 0
    where = ndimage.binary_erosion(inside, iterations=25)
    planes, notes = refocused(turned)
    without, _ = refocused(image)
    wanted = correlations(ndimage.rotate(without, 20, axes=(1, 2), order=1), true, where)
    assert (correlations(planes, true, where) > wanted - 0.03).all()
    assert len(notes) == 1
    assert "40 % of the image hold one value, 0, in areas" in notes[0]


@pytest.mark.parametrize("values", [(65535, 65535), (4000, 60000), (3e38, 3e38), (-1e30, 1e30)])
def test_hot_pixels_do_not_matter(values: tuple[float, float]) -> None:
    image, truth = worm()
    given, hot = with_hot(image, 0.005, values)
    everywhere = np.ones(image.shape, bool)
    clean, none = refocused(image)
    planes, notes = refocused(given)
    assert none == ()
    assert len(notes) == 1
    count = int(notes[0].split()[0])
    assert 0.97 * hot.sum() <= count <= hot.sum()
    wanted = correlations(clean, truth, everywhere)
    assert (correlations(planes, truth, everywhere) > wanted - 0.02).all()
    assert planes.max() < 2 * clean.max()


# --- what exactly is done -------------------------------------------------------------------------

IMAGE = beads((128, 160))


def run(image: Any, network: Any, surfaces: Any = None, **settings: Any) -> Any:
    model = model_of(network, normalisation="signed-sqrt")
    settings = {"pixel_size_um": PIXEL_SIZE_UM} | settings
    return refocus(image, surfaces or Flat(-1, 1, 1), model, **settings)


@pytest.mark.parametrize("name", ["beads", "tissue", "spots on nothing", "worm"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_an_image_with_nothing_to_mend_is_what_it_was(name: str, dtype: type) -> None:
    images: dict[str, Any] = {"beads": beads, "tissue": tissue, "worm": lambda: worm()[0]}
    image = images.get(name, lambda: np.where(beads() > 400, beads(), 0))().astype(dtype)
    checked = check_image(image)
    assert checked.notes == ()
    assert checked.unmeasured is None
    assert checked.measured is None
    np.testing.assert_array_equal(checked.pixels, image.astype(np.float32))
    if dtype is np.float32:
        assert checked.pixels is image


def test_the_caller_s_array_is_not_changed() -> None:
    image, _ = with_hot(framed(IMAGE, 0, 20), 0.005, (65535, 1e30))
    image[60, 60] = np.nan
    before = image.copy()
    run(image, BoxBlur())
    np.testing.assert_array_equal(image, before)


def test_a_border_takes_no_part_in_the_normalisation() -> None:
    given = framed(IMAGE, 0, 20)
    inner = np.ascontiguousarray(IMAGE[20:-20, 20:-20])
    for method in ("signed-sqrt", "median-p99", "mean-std", "percentiles-1-99.8"):
        checked = check_image(given)
        fitted = fit_intensity(method, checked.pixels, checked.measured)
        wanted = fit_intensity(method, inner)
        assert fitted.offset == pytest.approx(wanted.offset, rel=0.02)
        assert fitted.gain == pytest.approx(wanted.gain, rel=0.03)


@pytest.mark.parametrize("pixel_size_um", [PIXEL_SIZE_UM, 0.3, 0.8])
@pytest.mark.parametrize("budget", [Budget(), Budget(code_bytes=0)], ids=["hold", "spool"])
def test_what_was_not_measured_comes_back_on_every_grid_and_surface(
    pixel_size_um: float, budget: Budget
) -> None:
    given = framed(IMAGE, 65535, 20)
    given[:, :20] = np.nan
    surfaces = [Flat(-1, 1, 1), Tilted(2, 1)]
    settings = {"pixel_size_um": pixel_size_um, "budget": budget, "tile_px": 64}
    stack = run(given, AddDistance(), surfaces, **settings)
    outside = ~(given == IMAGE)
    for plane in stack.data:
        np.testing.assert_array_equal(plane[outside], given[outside])
        assert np.isfinite(plane[~outside]).all()
    cut = run(np.ascontiguousarray(IMAGE[20:-20, 20:-20]), AddDistance(), Flat(0), **settings)
    inner = stack.data[1][20:-20, 20:-20]
    np.testing.assert_allclose(inner[8:-8, 8:-8], cut.data[0][8:-8, 8:-8], rtol=0.1, atol=30)


def test_a_part_gives_back_what_the_whole_does() -> None:
    given = framed(IMAGE, 0, 20)
    model = model_of(AddDistance(), normalisation="signed-sqrt")
    whole = EncodedImage(given, model, pixel_size_um=PIXEL_SIZE_UM)
    stack = whole.refocus(Flat(1))
    assert "hold one value, 0, in areas" in stack.notes[0]
    expected = stack.data[0]
    for where in ((slice(0, 64), slice(8, 80)), (slice(32, 96), slice(40, 120))):
        part = whole.part(*where)
        found = part.refocus(Flat(1))
        assert found.notes == stack.notes
        np.testing.assert_allclose(found.data[0], expected[where], rtol=1e-5)


def test_each_note_is_said_once() -> None:
    image, _ = with_hot(framed(IMAGE, 0, 20), 0.002, (65535, 65535))
    image[64, 64], image[70, 70] = np.nan, 1e35
    image[:20], image[-20:], image[:, :20], image[:, -20:] = 0, 0, 0, 0
    starts = ["4", "1 pixel is NaN or infinite", "1 pixel is millions of times", ""]
    model = model_of(AddDistance())
    planes = iter_refocus(image, Flat(-1, 1, 1), model, pixel_size_um=PIXEL_SIZE_UM)
    for notes in (plane.notes for plane in planes):
        assert [note.startswith(start) for note, start in zip(notes, starts, strict=True)]
        assert "pixels are far above or below all neighbours" in notes[3]


@pytest.mark.parametrize("value", [0, math.nan])
def test_a_frame_around_nothing_but_one_value_is_constant(value: float) -> None:
    image = framed(np.full((128, 128), 7, np.float32), value, 20)
    stack = run(image, AddDistance())
    if math.isnan(value):
        assert any("the same value, 7" in note for note in stack.notes)
        np.testing.assert_array_equal(stack.data[1], image)
    assert np.isfinite(stack.data[:, 20:-20, 20:-20]).all()


# --- numbers at the limits of float32 -------------------------------------------------------------


@pytest.mark.parametrize("name", ["beads", "tissue"])
@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1e-44, 0), (1e-40, 0), (1e-30, 0), (1e30, 0), (1e33, 0), (1, 1e6), (1e-3, -1e4), (-1, 0)],
)
def test_every_scale_and_offset_gives_numbers(name: str, scale: float, offset: float) -> None:
    image = (beads((64, 64), count=8) if name == "beads" else tissue((64, 64))).astype(float)
    data = run(image * scale + offset, BoxBlur()).data
    assert np.isfinite(data).all()


@pytest.mark.parametrize(
    ("values", "count"),
    [([3e38], 1), ([-3e38], 1), ([1e30, -1e30] * 5, 10), ([1e300, -1e300], 2), ([3e38, 1e35], 2)],
)
def test_single_numbers_beyond_reason_change_nothing_elsewhere(
    values: list[float], count: int
) -> None:
    image = tissue((128, 128)).astype(float)
    places = np.random.default_rng(0).choice(image.size, len(values), replace=False)
    expected = run(image, BoxBlur()).data
    image.flat[places] = values
    stack = run(image, BoxBlur())
    assert stack.notes[0].startswith(f"{count} pixel")
    far = np.ones(image.shape, bool)
    far.flat[places] = False
    far = ndimage.binary_erosion(far, np.ones((11, 11)), border_value=1)
    np.testing.assert_allclose(stack.data[:, far], expected[:, far], rtol=1e-2, atol=2)
    assert np.isfinite(stack.data).all()
    assert stack.data.max() < 1.5 * expected.max()
