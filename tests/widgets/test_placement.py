"""Where layers lie: checked against napari's own translation from pixels to the world."""

from __future__ import annotations

import itertools
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points
from napari.utils.transforms import Affine

from napari_deepz.widgets.shared.layer_sizes import (
    likely_pixel_size_um,
    pixel_size_um,
    set_pixel_size,
)
from napari_deepz.widgets.shared.layers import frame_of, input_plane, surface_from_layer
from napari_deepz.widgets.shared.placement import (
    Frame,
    LayerError,
    View,
    lay,
    length_um,
    shown_index,
)

PIXEL_UM = 0.325
SHAPE = (40, 56)
CORNERS = np.array([(0, 0), (0, 55), (39, 0), (39, 55)], float)


def registered(degrees: Any, size: Any, ndim: int = 2, mirrored: bool = False) -> Any:
    """An affine transform as from a registration: rotation, one magnification and a shift."""
    angle = np.deg2rad(degrees)
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        turn = turn @ np.diag([1, -1])
    matrix = np.eye(ndim + 1)
    matrix[-3:-1, -3:-1] = turn
    matrix[-3:-1, -1] = (12, -7)
    return matrix


TURNED = {
    "plain": {},
    "moved": {"translate": (3, -4)},
    "rotated by 30 degrees": {"rotate": 30, "translate": (3, -4)},
    "rotated by 90 degrees": {"rotate": 90},
    "turned over": {"scale": (-PIXEL_UM, -PIXEL_UM)},
    "mirrored left and right": {"scale": (PIXEL_UM, -PIXEL_UM), "translate": (1, 2)},
    "mirrored up and down and rotated": {"scale": (-PIXEL_UM, PIXEL_UM), "rotate": 200},
    "registered": {"affine": registered(-17, 1.3)},
    "registered and mirrored": {"affine": registered(65, 0.9, mirrored=True), "rotate": 10},
    "in mm": {"scale": (PIXEL_UM / 1e3,) * 2, "units": ("mm",) * 2, "rotate": 30},
    "in mm and nm": {"scale": (PIXEL_UM / 1e3, PIXEL_UM * 1e3), "units": ("mm", "nm")},
    "a little taller than wide": {"scale": (PIXEL_UM * 1.008, PIXEL_UM), "rotate": 5},
    "rotated back by its affine": {"rotate": 30, "affine": registered(-30, 1)},
}


def image(data: Any = None, **changes: Any) -> Image:
    data = np.zeros(SHAPE, np.float32) if data is None else data
    settings = {"scale": (PIXEL_UM,) * 2, "units": ("um",) * data.ndim, "name": "cells"}
    return Image(data, **(settings | changes))


def world_um(layer: Any, pixels: Any) -> Any:
    places = np.array([layer.data_to_world(pixel)[-2:] for pixel in pixels])
    return places * [length_um(unit) for unit in layer.units[-2:]]


def view_of(*layers: Any) -> Any:
    viewer = ViewerModel()
    for layer in layers:
        viewer.add_layer(layer)
    return View.of(viewer)


@pytest.mark.parametrize("changes", TURNED.values(), ids=TURNED)
def test_what_is_made_lies_over_the_image(changes: Any) -> None:
    layer = image(**changes)
    frame = frame_of(layer, view_of(layer))
    expected = world_um(layer, CORNERS)
    data, placing = frame.stack(np.zeros((3, *SHAPE), np.float32), -1.0, 1.0)
    stack = Image(data, **placing)
    flat = Image(np.zeros(SHAPE), **frame.flat())
    np.testing.assert_allclose(world_um(stack, CORNERS), expected, atol=1e-9)
    np.testing.assert_allclose(world_um(flat, CORNERS), expected, atol=1e-9)
    assert stack.units[-2:] == flat.units == layer.units
    np.testing.assert_allclose([stack.data_to_world((z, 0, 0))[0] for z in range(3)], (-1, 0, 1))


@pytest.mark.parametrize("changes", TURNED.values(), ids=TURNED)
def test_places_of_the_world_are_found_on_the_image(changes: Any) -> None:
    layer = image(**changes)
    frame = frame_of(layer, view_of(layer))
    found = frame.on_image_um(world_um(layer, CORNERS))
    np.testing.assert_allclose(found, CORNERS * frame.pixel_size_um, atol=1e-9)
    in_units = frame.world(found) * [length_um(unit) for unit in layer.units]
    np.testing.assert_allclose(in_units, world_um(layer, CORNERS), atol=1e-9)
    points = Points(CORNERS * frame.pixel_size_um, **frame.flat(step_um=1.0))
    np.testing.assert_allclose(
        [points.data_to_world(place) for place in points.data],
        [layer.data_to_world(pixel) for pixel in CORNERS],
        atol=1e-9,
    )


@pytest.mark.parametrize("changes", TURNED.values(), ids=TURNED)
def test_what_is_beside_an_image_touches_nowhere(changes: Any) -> None:
    layer = image(**changes)
    frame = frame_of(layer, view_of(layer))
    right_um = frame.beside_um(SHAPE)
    beside = Image(np.zeros(SHAPE), **frame.flat(right_um=right_um))
    edges = [(-0.5, -0.5), (-0.5, 55.5), (39.5, -0.5), (39.5, 55.5)]
    here, there = world_um(layer, edges), world_um(beside, edges)
    np.testing.assert_allclose(there - here, np.tile((0, right_um), (4, 1)), atol=1e-9)
    width_um = np.ptp(here[:, 1])
    assert there[:, 1].min() - here[:, 1].max() == pytest.approx(0.04 * width_um, rel=0.02)


@pytest.mark.parametrize("ndim", [3, 4, 5])
def test_stacks_and_movies_that_are_rotated(ndim: int) -> None:
    axes = ("c", "t", "z", "y", "x")[-ndim:]
    units = ("pixel", "s", "um", "um", "um")[-ndim:]
    steps = (1, 0.5, -2.0)[-(ndim - 2) :]
    starts = (0, 4, 10)[-(ndim - 2) :]
    layer = image(
        np.zeros((2, 3, 4, *SHAPE)[-ndim:], np.float32),
        scale=(*steps, PIXEL_UM, PIXEL_UM),
        translate=(*starts, 5, 6),
        units=units,
        axis_labels=axes,
        rotate=np.array(Image(np.zeros((1,) * ndim), rotate=30).rotate),
        affine=registered(20, 1.5, ndim),
    )
    viewer = ViewerModel()
    viewer.add_layer(layer)
    wanted = (1, 2, 3)[-(ndim - 2) :]
    viewer.dims.point = layer.data_to_world((*wanted, 0, 0))
    view = View.of(viewer)
    assert shown_index(layer, view) == wanted
    frame = frame_of(layer, view)
    assert frame.pixel_size_um == pytest.approx(1.5 * PIXEL_UM)
    assert frame.z_um == pytest.approx(10 - 2 * 3)
    data, placing = frame.stack(np.zeros((5, *SHAPE), np.float32), -2, 1)
    stack = Image(data, **placing)
    z_axis = axes.index("z")
    for corner in CORNERS:
        at = [0] * ndim
        at[z_axis], at[-2:] = 2, corner
        np.testing.assert_allclose(
            stack.data_to_world(at), layer.data_to_world((*wanted, *corner)), atol=1e-9
        )


REFUSED = {
    "sheared": ({"shear": [0.3]}, "sheared"),
    "sheared by its affine": ({"affine": np.array([[1, 0.2, 0], [0, 1, 0], [0, 0, 1.0]])}, "shear"),
    "stretched by its affine": ({"affine": np.diag([2.0, 1, 1])}, "0.65 µm high and 0.325 µm wide"),
    "stretched and then turned": (
        {"rotate": 30, "scale": (PIXEL_UM, 2 * PIXEL_UM)},
        "0.325 µm high and 0.65 µm wide",
    ),
    "turned and then stretched": ({"rotate": 45, "affine": np.diag([1.0, 1.5, 1])}, "sheared"),
    "not square without a unit": ({"scale": (1, 2), "units": ("pixel",) * 2}, "1 pixel high"),
}


@pytest.mark.parametrize(("changes", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_followed_is_refused_with_one_sentence(changes: Any, says: Any) -> None:
    layer = image(**changes)
    for read in (input_plane, frame_of):
        with pytest.raises(LayerError, match=says) as caught:
            read(layer, view_of(layer))
        assert str(caught.value).count(". ") == 0
        assert "'cells'" in str(caught.value)


def tilted_out(kind: Any) -> Any:
    matrix = np.eye(4)
    if kind == "rotated about x":
        matrix[:3, :3] = Affine(rotate=(0, 20, 0), ndim=3).linear_matrix
    elif kind == "z leans over y":
        matrix[1, 0] = 0.4
    elif kind == "y leans over z":
        matrix[0, 1] = 0.4
    elif kind == "z and x are swapped":
        matrix[:3, :3] = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    return matrix


@pytest.mark.parametrize(
    "kind", ["rotated about x", "z leans over y", "y leans over z", "z and x are swapped"]
)
def test_a_stack_that_is_turned_out_of_its_planes_is_refused(kind: str) -> None:
    stack = image(np.zeros((5, *SHAPE)), scale=(1, PIXEL_UM, PIXEL_UM))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # napari's own
        stack.affine = tilted_out(kind)
    with pytest.raises(LayerError, match="out of its planes"):
        input_plane(stack, View((2, 0, 0), None))
    assert len(shown_index(stack, View((2, 0, 0), None))) == 1


@pytest.mark.filterwarnings("ignore")  # napari's own
@pytest.mark.parametrize("scale", [(np.nan, 1), (np.inf, np.inf), (0, 0), (0.3, 0)])
def test_a_scale_that_is_no_number_is_one_sentence(scale: Any) -> None:
    layer = image()
    with suppress(ValueError):  # napari has taken it before it complains.
        layer.scale = scale
    if np.isfinite(layer.scale).all() and np.all(layer.scale):
        pytest.skip("this napari does not take such a scale")
    with pytest.raises(LayerError, match="zero, infinite or not a number"):
        input_plane(layer, View((0, 0), None))
    assert likely_pixel_size_um(layer) is None


SIZES = [
    ((0.325, 0.325), ("um", "um"), 0.325),
    ((0.000325,) * 2, ("mm", "mm"), 0.325),
    ((3.25e-5,) * 2, ("cm", "cm"), 0.325),
    ((3.25e-7,) * 2, ("m", "m"), 0.325),
    ((1300,) * 2, ("nm", "nm"), 1.3),
    ((3250,) * 2, ("angstrom",) * 2, 0.325),
    ((1.28e-5,) * 2, ("inch", "inch"), 0.32512),
    ((-0.5, 0.5), ("um", "um"), 0.5),
    ((1, 1), ("inch", "inch"), None),
    ((1, 1), ("mm", "mm"), None),
    ((25400, 25400), ("um", "um"), None),
    ((1e-4, 1e-4), ("um", "um"), None),
    ((1, 1), ("pixel", "pixel"), None),
    ((1, 0.325), ("pixel", "um"), None),
    ((0.325, 0.325), ("s", "um"), None),
    ((1, 1), ("degree", "degree"), None),
    ((1, 1), ("degC", "degC"), None),
]


@pytest.mark.parametrize(("scale", "units", "size_um"), SIZES)
def test_pixel_sizes_in_all_units(scale: Any, units: Any, size_um: Any) -> None:
    layer = image(scale=scale, units=units)
    assert pixel_size_um(layer) == (size_um if size_um is None else pytest.approx(size_um))


@pytest.mark.parametrize(
    ("scale", "units", "guess_um"),
    [
        ((0.11, 0.11), ("pixel", "pixel"), 0.11),
        ((-0.11, -0.11), ("pixel", "pixel"), 0.11),
        ((1, 1), ("pixel", "pixel"), None),
        ((0.0005, 0.0005), ("pixel", "pixel"), None),
        ((500, 500), ("pixel", "pixel"), None),
        ((1, 0.325), ("pixel", "um"), 0.325),
        ((0.325, 1), ("um", "pixel"), 0.325),
        ((0.00065, 1), ("mm", "pixel"), 0.65),
        ((25400, 25400), ("um", "um"), None),
        ((1, 1), ("inch", "inch"), None),
    ],
)
def test_what_pixel_size_is_suggested(
    scale: tuple[float, ...], units: tuple[str, ...], guess_um: float | None
) -> None:
    found = likely_pixel_size_um(image(scale=scale, units=units))
    assert found == (guess_um if guess_um is None else pytest.approx(guess_um))


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": (1, 1), "translate": (10, 20)},
        {"scale": (-1, 1), "translate": (10, 20)},
        {"scale": (25400, 25400), "units": ("um", "um")},
        {"scale": (1, 0.7), "units": ("pixel", "um")},
        {"scale": (1, 1), "rotate": 30, "affine": registered(25, 2)},
        {"scale": (1, 1), "units": ("inch", "inch"), "affine": registered(25, 2)},
    ],
)
def test_a_written_pixel_size_keeps_everything_in_place_in_pixels(changes: dict[str, Any]) -> None:
    layer = image(**({"units": ("pixel", "pixel")} | changes))
    before = np.array([layer.data_to_world(corner) for corner in CORNERS])
    sides = np.linalg.norm(before[[2, 1]] - before[0], axis=1) / (39, 55)
    set_pixel_size(layer, 0.5)
    assert pixel_size_um(layer) == pytest.approx(0.5)
    after = np.array([layer.data_to_world(corner) for corner in CORNERS])
    np.testing.assert_allclose(after, before * (0.5 / sides), rtol=1e-9)


@pytest.mark.filterwarnings("ignore")  # napari's own
def test_colour_and_empty_images_are_refused() -> None:
    with pytest.raises(LayerError, match="colour image"):
        input_plane(Image(np.zeros((20, 30, 3), np.uint8), rgb=True), View((0, 0), None))
    with pytest.raises(LayerError, match="is empty"):
        input_plane(
            image(np.zeros((0, 20, 30)), contrast_limits=(0, 1), scale=(1, 1, 1)),
            View((0, 0), None),
        )


def test_the_planes_of_a_pyramid_are_those_of_its_finest_level(rng: np.random.Generator) -> None:
    data = rng.integers(0, 9, (3, 64, 64))
    layer = Image(
        [data, data[:, ::2, ::2]], multiscale=True, units=("um",) * 3, scale=(1, 0.3, 0.3)
    )
    plane = input_plane(layer, View((2, 0, 0), None))
    np.testing.assert_array_equal(plane.read(), data[2])
    assert plane.pixel_size_um == pytest.approx(0.3)


@pytest.mark.parametrize(("point", "index"), [((), 0), ((7.0,), 0), ((3.0, 0, 0), 3)])
def test_a_view_of_fewer_axes_than_a_layer_has(point: tuple[float, ...], index: int) -> None:
    stack = image(np.zeros((5, *SHAPE)), scale=(1, PIXEL_UM, PIXEL_UM))
    assert shown_index(stack, View(point, None)) == (index,)
    assert shown_index(stack, View(point, stack.units[-len(point) :] or None)) == (index,)
    five = image(np.zeros((2, 2, 5, *SHAPE)), scale=(1, 1, 1, PIXEL_UM, PIXEL_UM))
    assert shown_index(five, View(point, None)) == (0, 0, index)


@pytest.mark.parametrize("changes", TURNED.values(), ids=TURNED)
def test_points_on_a_turned_image_give_its_own_depths(changes: Any) -> None:
    """Depth grows along the rows of pixels, wherever these point in the world."""
    layer = image(**changes)
    view = view_of(layer)
    frame = frame_of(layer, view)
    pixels = np.array([(r, c) for r, c in itertools.product((2, 20, 37), (3, 30, 50))], float)
    depths_um = 0.1 * pixels[:, 1] * frame.pixel_size_um
    places_um = world_um(layer, pixels)
    points = Points(np.column_stack([depths_um, places_um]), units=("um",) * 3)
    found = surface_from_layer(points, view, frame)[0].dpm(SHAPE, frame.pixel_size_um)
    expected = np.tile(0.1 * np.arange(SHAPE[1]) * frame.pixel_size_um, (SHAPE[0], 1))
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_points_that_are_turned_themselves(rng: np.random.Generator) -> None:
    layer = image(rotate=30)
    frame = frame_of(layer, view_of(layer))
    points = Points(
        rng.uniform(0, 5, (6, 3)), units=("um",) * 3, affine=registered(50, 1.2, 3), scale=(2, 1, 1)
    )
    surface, _ = surface_from_layer(points, view_of(layer), frame)
    world = np.array([points.data_to_world(place) for place in points.data])
    positions = np.array([layer.world_to_data(place[1:]) for place in world]) * PIXEL_UM
    np.testing.assert_allclose(surface.points_um, np.column_stack([positions, world[:, 0]]))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "is_said"),
    [
        ({}, False),
        ({"rotate": 30}, True),
        ({"translate": (0, 9)}, True),
        ({"translate": (0, 0.1)}, False),
        ({"scale": (1, 1), "units": ("pixel", "pixel")}, False),
    ],
)
def test_depths_that_lie_elsewhere_are_taken_pixel_by_pixel_and_said_so(
    rng: np.random.Generator, changes: dict[str, Any], is_said: bool
) -> None:
    layer = image()
    frame = frame_of(layer, view_of(layer))
    depths = rng.uniform(-3, 3, SHAPE).astype(np.float32)
    other = image(depths, **({"name": "depths"} | changes))
    surface, notes = surface_from_layer(other, view_of(layer), frame)
    assert ["'depths' do not lie over the image" in note for note in notes] == [True] * is_said
    np.testing.assert_array_equal(surface.dpm(SHAPE, PIXEL_UM), depths)


def test_a_layer_is_laid_where_a_new_one_would_be() -> None:
    frames = [frame_of(image(**changes), View((0, 0), None)) for changes in TURNED.values()]  # type: ignore[arg-type]
    layer = Image(np.zeros(SHAPE), **frames[-1].flat())
    for frame in frames:
        lay(layer, frame.flat(right_um=3))
        anew = Image(np.zeros(SHAPE), **frame.flat(right_um=3))
        for corner in CORNERS:
            np.testing.assert_allclose(
                layer.data_to_world(corner), anew.data_to_world(corner), atol=1e-9
            )


def test_an_upright_frame_places_as_simply_as_can_be() -> None:
    placing = Frame(PIXEL_UM, (1.5, -2.0), 7.0, (), 0).flat()
    assert placing["scale"] == (PIXEL_UM, PIXEL_UM)
    assert placing["translate"] == (1.5, -2.0)
    assert placing["units"] == ("um", "um")
