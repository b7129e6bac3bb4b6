"""Several input planes: what each says, weighed; brought together first; nothing lost."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from napari_deepz import EncodedPlanes, load_model, read_image, refocus
from napari_deepz.engine.planes.aligning import align_planes
from napari_deepz.engine.planes.shares import blended_at, shares_of
from napari_deepz.samples import TILTED_BEADS, WORM
from napari_deepz.surfaces import Flat, Tilted
from napari_deepz.watch import Cancelled, Watch
from tests.engine.fake_generators import PIXEL_SIZE_UM, AddDistance, model_of

SHAPE = (64, 80)
AT_UM = (0.0, 4.0, -3.0)
RANGE_UM = (-10.0, 10.0)


@pytest.fixture
def images(rng: np.random.Generator) -> list[np.ndarray]:
    """The same place three times, each with noise of its own."""
    place = 1000 + 2000 * gaussian_filter(rng.standard_normal(SHAPE), 3)
    noise = rng.standard_normal((3, *SHAPE))
    return [(place + one - one.mean()).astype(np.float32) for one in noise]


def planes_of(images: list[np.ndarray], merge: str = "distance") -> EncodedPlanes:
    """Each adds the distance from itself to its pixels."""
    model = model_of(AddDistance(slope=1), normalisation="as-is")
    return EncodedPlanes(
        images,
        AT_UM[: len(images)],
        model,
        merge=merge,  # type: ignore[arg-type]
        pixel_size_um=PIXEL_SIZE_UM,
    )


def test_shares_fall_with_the_square_of_the_distance() -> None:
    found = shares_of("distance", (0, 4), 1.0, RANGE_UM)
    expected = np.array([1 / 1.5**2, 1 / 3.5**2])
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)
    assert np.array_equal(shares_of("distance", (0, 18), 9.0, RANGE_UM), [0.5, 0.5])
    # The second is 10.5 µm away, more than the model knows; then both are.
    assert np.array_equal(shares_of("distance", (0, 18), 7.5, RANGE_UM), [1, 0])
    far = shares_of("distance", (0, 18), 40.0, RANGE_UM)
    assert 0 < far[0] < far[1] < 1


def test_linear_shares_are_those_of_interpolation() -> None:
    depths = np.array([[-5.0, -1.5, 0.0], [1.0, 3.0, 9.0]])
    found = shares_of("linear", AT_UM, depths, RANGE_UM)
    values = np.array([10.0, 50.0, -20.0])
    expected = np.interp(depths, [-3, 0, 4], [-20, 10, 50])
    np.testing.assert_allclose((found * values[:, None, None]).sum(axis=0), expected, rtol=1e-6)


@pytest.mark.parametrize("merge", ["distance", "nearest"])
@pytest.mark.parametrize("surface", [Flat(-2, 3, 1), Tilted(6, -3)])
def test_each_plane_says_what_it_would_alone(
    images: list[np.ndarray], surface: Flat | Tilted, merge: str
) -> None:
    merged = planes_of(images, merge).refocus(surface)
    for index, depths_um in enumerate(
        surface.dpm(SHAPE, PIXEL_SIZE_UM, at) for at in range(len(surface))
    ):
        shares = shares_of(merge, AT_UM, depths_um, RANGE_UM)  # type: ignore[arg-type]
        alone = [image + depths_um - z for image, z in zip(images, AT_UM, strict=True)]
        np.testing.assert_allclose(merged.data[index], (shares * alone).sum(axis=0), rtol=1e-5)
    assert merged.z_um == (surface.uniform_z_um or (None,))


def test_one_plane_is_an_ordinary_run(images: list[np.ndarray]) -> None:
    model = model_of(AddDistance(slope=0.3), normalisation="mean-std")
    surfaces = [Flat(-2, 2, 1), Tilted(2, 1)]
    one = EncodedPlanes(images[:1], (0,), model, pixel_size_um=PIXEL_SIZE_UM).refocus(surfaces)
    ordinary = refocus(images[0], surfaces, model, pixel_size_um=PIXEL_SIZE_UM)
    np.testing.assert_allclose(one.data, ordinary.data, rtol=1e-6)
    assert one.z_um == ordinary.z_um


def test_linear_needs_no_network(images: list[np.ndarray]) -> None:
    planes = planes_of(images, "linear")
    merged = planes.refocus(Flat(-3, 4, 1))
    np.testing.assert_array_equal(merged.data[3], images[0])
    np.testing.assert_array_equal(merged.data[7], images[1])
    np.testing.assert_allclose(merged.data[5], (images[0] + images[1]) / 2, rtol=1e-6)
    assert planes.is_ready
    assert any("no network was used" in note for note in merged.notes)
    beyond = planes.refocus(Flat(-4, 5, 3)).out_of_range
    assert [mask is not None for mask in beyond] == [True, False, False, True]


def test_a_surface_costs_little_once_all_are_encoded(images: list[np.ndarray]) -> None:
    network = AddDistance()
    model = model_of(network, normalisation="as-is")
    planes = EncodedPlanes(images, AT_UM, model, pixel_size_um=PIXEL_SIZE_UM)
    planes.refocus([Flat(0), Flat(4), Flat(-3)])
    assert planes.is_ready
    planes.refocus(Tilted(3, 0))
    assert network.log.count("encode") == 3


def test_depths_beyond_all_planes_are_flagged(images: list[np.ndarray]) -> None:
    merged = planes_of(images).refocus(Flat(8, 16, 2))
    flagged = [mask is not None and bool(mask.all()) for mask in merged.out_of_range]
    assert flagged == [False, False, False, False, True]  # 16 µm: 12 µm from the last plane.


def test_a_run_can_be_stopped(images: list[np.ndarray]) -> None:
    stops = iter([False] * 8 + [True] * 100)
    with pytest.raises(Cancelled):
        planes_of(images).refocus(Flat(-3, 4, 0.5), watch=Watch(lambda: next(stops)))


def test_where_one_plane_was_not_measured_the_others_count(images: list[np.ndarray]) -> None:
    images[1][:, :20] = np.nan
    merged = planes_of(images).refocus(Flat(3)).data[0]
    alone = planes_of([images[0], np.roll(images[1], 0), images[2]], "nearest").refocus(Flat(3))
    assert np.isfinite(merged).all()
    shares = shares_of("distance", AT_UM, 3.0, RANGE_UM)
    others = shares[0] * (images[0] + 3) + shares[2] * (images[2] + 6)
    expected = others / (shares[0] + shares[2])
    np.testing.assert_allclose(merged[:, :18], expected[:, :18], rtol=1e-5)
    np.testing.assert_allclose(alone.data[0][:, 24:], images[1][:, 24:] - 1, rtol=1e-5)
    assert np.isfinite(alone.data).all()


def test_what_no_plane_measured_stays_as_it_was(images: list[np.ndarray]) -> None:
    for image in images:
        image[:, :20] = 0
    merged = planes_of(images).refocus(Flat(1)).data[0]
    assert (merged[:, :20] == 0).all()
    assert (merged[:, 24:] > 0).all()


def test_planes_are_brought_to_the_light_and_the_place_of_the_first(
    rng: np.random.Generator,
) -> None:
    wide = gaussian_filter(rng.standard_normal((160, 160)), 4)
    wide = (wide - wide.min()) / np.ptp(wide)
    first, moved = wide[20:140, 20:140], wide[23:143, 18:138]
    dark = 100.0
    planes = [dark + 900 * first, dark + 0.7 * 900 * moved]
    for plane in planes:
        plane[0, :80] = dark  # The camera's offset.
    one, other = align_planes(planes)
    assert (one.shift_px, one.gain) == ((0, 0), 1)
    np.testing.assert_array_equal(one.pixels, planes[0].astype(np.float32))
    np.testing.assert_allclose(other.shift_px, (3, -2), atol=0.25)
    assert other.gain == pytest.approx(1 / 0.7, rel=0.05)
    inner = np.s_[12:-12, 12:-12]
    assert np.abs(other.pixels[inner] - planes[0][inner]).max() < 0.06 * 900
    assert other.describe("Plane 2")[0].startswith("Plane 2 was multiplied by 1.4")
    assert "along y and -2" in other.describe("Plane 2")[1]


def test_large_planes_are_put_in_place_to_the_pixel(rng: np.random.Generator) -> None:
    wide = 1000 + 900 * gaussian_filter(rng.standard_normal((820, 840)), 3)
    first, moved = wide[10:-10, 10:-10], wide[17:-3, 5:-15]
    noisy = [rng.poisson(plane).astype(np.float32) for plane in (first, moved)]
    np.testing.assert_allclose(align_planes(noisy)[1].shift_px, (7, -5), atol=0.25)


def test_optical_sections_keep_their_light(rng: np.random.Generator) -> None:
    """Confocal planes above a sample are dark, and stay so."""
    plane = 100 + 900 * gaussian_filter(rng.standard_normal(SHAPE), 3).clip(0)
    _, other = align_planes([plane, 100 + (plane - 100) * 0.05])
    assert other.gain == 1


def test_planes_that_cannot_be_brought_together_are_named(rng: np.random.Generator) -> None:
    first, other = (1000 + 900 * rng.standard_normal(SHAPE).clip(-1) for _ in range(2))
    model = model_of(AddDistance(slope=1), normalisation="as-is")
    planes = EncodedPlanes(
        [first, 1000 + (other - 1000) * 0.2, np.full(SHAPE, 7)],
        (0, 4, 8),
        model,
        merge="distance",
        pixel_size_um=PIXEL_SIZE_UM,
    )
    said = " ".join(planes.notes)
    assert "The input plane at 4 µm is too unlike the others to tell whether it was moved" in said
    assert "All pixels of the input plane at 8 µm have the same value, 7." in said
    assert "The input plane at 8 µm was" not in said
    dim = EncodedPlanes(
        [first, 100 + 0.2 * first], (0, 4), model, merge="distance", pixel_size_um=PIXEL_SIZE_UM
    )
    assert "times the light of the first one, which only optical sections may" in dim.notes[0]


@pytest.mark.parametrize(
    ("at_um", "merge", "words"),
    [
        ((0,), "distance", "2 planes and 1 depths"),
        ((1, 1), "distance", "all different"),
        ((0, np.nan), "distance", "all different"),
        ((0, 1), "median", "'median' is not known; use 'blended', 'learned', 'distance'"),
    ],
)
def test_wrong_planes_are_refused_in_a_sentence(
    images: list[np.ndarray], at_um: tuple[float, ...], merge: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        EncodedPlanes(images[:2], at_um, model_of(AddDistance()), merge=merge)  # type: ignore[arg-type]


def test_planes_of_other_shapes_are_refused(images: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="same height and width"):
        EncodedPlanes([images[0], images[1][:40]], (0, 1), model_of(AddDistance()))


@pytest.mark.parametrize("sample", [WORM, TILTED_BEADS])
def test_planes_that_lie_where_they_should_are_left_there(sample: Path) -> None:
    """Defocus must not be taken for a shift, however far apart planes are."""
    stack = read_image(sample).stack()
    for apart in (1, 2, 4, 7):
        for first in range(0, len(stack) - apart, 3):
            _, other = align_planes([stack[first], stack[first + apart]])
            assert other.shift_px == (0, 0)


@pytest.mark.parametrize("sample", [WORM, TILTED_BEADS])
def test_planes_too_far_apart_to_be_compared_are_registered_refocused(sample: Path) -> None:
    series = read_image(sample)
    stack, step_um = series.stack().astype(np.float32), series.z_step_um
    assert step_um is not None
    apart, model = round(6 / step_um), load_model()
    first, second = (stack[len(stack) // 2 + half] for half in (-(apart // 2), apart - apart // 2))
    moved = shift(second, (4, -3), order=1, mode="nearest")
    _, alone = align_planes([first, moved])
    assert alone.shift_px == (0, 0)

    at_um = (0, apart * step_um)
    planes = EncodedPlanes([first, moved], at_um, model, pixel_size_um=series.pixel_size_um)
    (note,) = [note for note in planes.notes if "was moved" in note]
    found = [float(number) for number in re.findall(r"[+-][\d.]+", note)]
    np.testing.assert_allclose(found, (-4, 3), atol=1.5)
    still = EncodedPlanes([first, second], at_um, model, pixel_size_um=series.pixel_size_um)
    assert not any("was moved" in note for note in still.notes)


def test_blended_is_between_refocusing_and_interpolation(images: list[np.ndarray]) -> None:
    targets = [Flat(-4, 5, 0.5), Tilted(6, -3)]
    blended, distance, linear = (
        planes_of(images, merge).refocus(targets) for merge in ("blended", "distance", "linear")
    )
    for index, z_um in enumerate(blended.z_um):
        if z_um is None:
            depth_um = targets[1].dpm(SHAPE, PIXEL_SIZE_UM)
            between = (depth_um > -3) & (depth_um < 4)
        else:
            between = np.full(SHAPE, -3 < z_um < 4)
        share = np.where(between, 0.6, 0)
        expected = (1 - share) * distance.data[index] + share * linear.data[index]
        np.testing.assert_allclose(blended.data[index], expected, rtol=1e-5)


def test_what_is_best_by_measurement_depends_on_the_model(images: list[np.ndarray]) -> None:
    planes = EncodedPlanes(images, AT_UM, load_model("widefield-20x"), pixel_size_um=0.325)
    assert planes.merge == "distance"
    planes = EncodedPlanes(images, AT_UM, load_model("any-objective"), pixel_size_um=0.325)
    assert planes.merge == "blended"


def test_blending_ends_where_no_plane_knows_the_middle(rng: np.random.Generator) -> None:
    at_um = (0.0, 20.0, 41.0)
    depths_um = np.array([-1.0, 0.0, 0.5, 19.0, 20.5, 40.0, 42.0])
    found = blended_at(at_um, depths_um, RANGE_UM)
    assert found.tolist() == [False, False, True, True, False, False, False]
    assert not blended_at((3.0,), depths_um, RANGE_UM).any()


@pytest.mark.parametrize("merge", ["blended", "distance"])
def test_a_plane_that_counts_for_nothing_is_named_and_changes_nothing(
    images: list[np.ndarray], merge: str
) -> None:
    model = model_of(AddDistance(slope=1), normalisation="as-is")

    def run(count: int, *at_um: float) -> tuple[np.ndarray, tuple[str, ...]]:
        encoded = EncodedPlanes(
            images[:count],
            at_um,
            model,
            merge=merge,  # type: ignore[arg-type]
            pixel_size_um=PIXEL_SIZE_UM,
        )
        return encoded.refocus(Flat(0, 4, 2)).data, encoded.notes_on(Flat(0, 4, 2))

    without, notes = run(2, 0, 3)
    assert not any("counts for nothing" in note for note in notes)
    found, notes = run(3, 0, 3, 500)
    assert any("plane at 500 µm counts for nothing" in note for note in notes)
    np.testing.assert_allclose(found, without, rtol=1e-6)
    _, notes = run(3, 0, 3, 12)
    assert not any("counts for nothing" in note for note in notes)
