"""How far merged pictures may be off: where planes disagree, and as far as simulated ones err."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from napari_deepz import EncodedImage, EncodedPlanes, load_model
from napari_deepz.engine.planes.shares import Merge
from napari_deepz.engine.planes.spreading import (
    NO_PERCENTAGE,
    REFOCUSED_AND_INTERPOLATED,
    SAFETY,
    plane_and_plane,
)
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.training.simulation import simulate
from tests.engine.fake_generators import PIXEL_SIZE_UM, AddDistance, model_of

SHAPE = (64, 80)
AT_UM = (0.0, 4.0)
SPEC = model_of(AddDistance()).spec


@pytest.fixture
def images(rng: np.random.Generator) -> list[np.ndarray]:
    place = 1000 + 2000 * gaussian_filter(rng.standard_normal(SHAPE), 3)
    noise = rng.standard_normal((2, *SHAPE))
    return [(place + one - one.mean()).astype(np.float32) for one in noise]


def planes_of(
    images: list[np.ndarray], merge: Merge, at_um: tuple[float, ...] = AT_UM, slope: float = 1.0
) -> EncodedPlanes:
    """Each adds the distance from itself, times the slope, to its pixels."""
    model = model_of(AddDistance(slope=slope), normalisation="as-is")
    return EncodedPlanes(images, at_um, model, merge=merge, pixel_size_um=PIXEL_SIZE_UM)


@pytest.mark.parametrize("merge", ["distance", "nearest"])
def test_it_is_what_the_planes_do_not_agree_about(images: list[np.ndarray], merge: Merge) -> None:
    found = planes_of(images, merge).spread().refocus([Flat(1), Flat(7)])
    for z_um, plane in zip((1, 7), found.data, strict=True):
        apart = np.abs((images[0] + z_um) - (images[1] + z_um - 4))
        expected = SAFETY * plane_and_plane(SPEC) * gaussian_filter(apart, 1.5)
        np.testing.assert_allclose(plane, expected, rtol=2e-3)
    assert NO_PERCENTAGE in found.notes


def test_between_planes_what_is_blended_is_asked(images: list[np.ndarray]) -> None:
    found = planes_of(images, "blended").spread().refocus([Flat(1), Flat(7)])
    refocused, interpolated = (
        planes_of(images, merge).refocus(Flat(1)).data[0] for merge in ("distance", "linear")
    )
    expected = gaussian_filter(np.abs(refocused - interpolated), 1.5)
    expected *= SAFETY * REFOCUSED_AND_INTERPOLATED
    np.testing.assert_allclose(found.data[0], expected, rtol=2e-3)
    beyond = planes_of(images, "distance").spread().refocus(Flat(7)).data[0]
    np.testing.assert_allclose(found.data[1], beyond, rtol=1e-5)


def test_the_two_planes_count_that_lie_nearest(images: list[np.ndarray]) -> None:
    far = images[0] + np.float32(500)
    three = planes_of([*images, far], "distance", (0.0, 4.0, -9.0), slope=0)
    two = planes_of(images, "distance", slope=0)
    np.testing.assert_allclose(
        three.spread().refocus(Flat(2)).data, two.spread().refocus(Flat(2)).data, rtol=1e-4
    )


def test_it_falls_where_planes_agree(images: list[np.ndarray]) -> None:
    other = images[0].copy()
    other[:, 40:] = images[1][:, 40:] + 30 * np.sin(np.arange(40, dtype=np.float32))
    spread = planes_of([images[0], other], "distance", slope=0).spread().refocus(Flat(2)).data[0]
    assert spread[:, :32].max() < 0.05
    assert spread[:, 48:].min() > 1


def test_surfaces_and_parts_are_as_flat_planes_of_the_whole(images: list[np.ndarray]) -> None:
    planes = planes_of(images, "blended").spread()
    tilted = Tilted(8, 0)
    depth_um = tilted.dpm(SHAPE, PIXEL_SIZE_UM)
    column = 50
    flat = planes.refocus(Flat(float(depth_um[0, column]))).data[0]
    on_surface = planes.refocus(tilted).data[0]
    # It is a mean over a few pixels, which lie in other depths on the surface.
    np.testing.assert_allclose(on_surface[:, column], flat[:, column], rtol=0.2)
    part = planes.part(slice(0, 48), slice(16, 80)).refocus(Flat(1)).data[0]
    whole = planes.refocus(Flat(1)).data[0]
    np.testing.assert_allclose(part[8:-8, 8:-8], whole[8:40, 24:-8], rtol=2e-3)


def test_what_says_nothing_of_it_is_refused(images: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="of the merge 'linear' may be off; use 'blended'"):
        planes_of(images, "linear").spread()
    alone = EncodedImage(images[0], model_of(AddDistance()), pixel_size_um=PIXEL_SIZE_UM)
    with pytest.raises(ValueError, match="One input plane does not say how far"):
        alone.spread()


@pytest.mark.parametrize("merge", ["distance", "blended"])
def test_it_covers_the_errors_of_simulated_heads_and_finds_them(merge: Merge) -> None:
    (stack,) = simulate(1, 4711, kinds=("head",))
    inputs = [int(np.abs(stack.z_um - z_um).argmin()) for z_um in (-3, 3)]
    planes = EncodedPlanes(
        [stack.measured[index].astype(np.float32) for index in inputs],
        [float(stack.z_um[index]) for index in inputs],
        load_model(),
        merge=merge,
        pixel_size_um=stack.optics.pixel_size_um,
    )
    shown = [int(np.abs(stack.z_um - z_um).argmin()) for z_um in (-6, -1, 0, 2, 5)]
    targets = [Flat(float(stack.z_um[index])) for index in shown]
    pictures, spread = (made.refocus(targets) for made in (planes, planes.spread()))
    for picture, off, index in zip(pictures.data, spread.data, shown, strict=True):
        error = np.abs(picture - stack.expected[index])
        assert 0.92 < (error <= off).mean() < 0.999
        assert spearmanr(error, off, axis=None).statistic > 0.3


def test_planes_of_any_objective_err_together_and_count_for_less() -> None:
    assert plane_and_plane(load_model("any-objective").spec) > plane_and_plane(SPEC)
