from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_deepz.images import ImageFileError, ImageSeries, in_axis_order
from napari_deepz.sampling import Sampling


@pytest.fixture
def movie() -> np.ndarray:
    """(T, C, Z, Y, X) where every pixel tells its own index."""
    return np.arange(2 * 3 * 4 * 5 * 6, dtype=np.int32).reshape(2, 3, 4, 5, 6)


def test_plane_and_stack_select_by_meaning(movie: np.ndarray) -> None:
    series = ImageSeries(movie, "TCZYX", 0.325, 0.5, 1.5, "worm")
    np.testing.assert_array_equal(series.plane(t=1, c=2, z=3), movie[1, 2, 3])
    np.testing.assert_array_equal(series.stack(t=1, c=1), movie[1, 1])
    assert [series.size(axis) for axis in "TCZYX"] == [2, 3, 4, 5, 6]


def test_absent_axes_have_length_one(movie: np.ndarray) -> None:
    series = ImageSeries(movie[0, 0, 0], "YX", None, None)
    assert [series.size(axis) for axis in "TCZYX"] == [1, 1, 1, 5, 6]
    np.testing.assert_array_equal(series.plane(), movie[0, 0, 0])
    np.testing.assert_array_equal(series.stack(), movie[0, 0, :1])
    assert series.name == "image"


@pytest.mark.parametrize("index", [{"z": 4}, {"z": -1}, {"t": 2}, {"c": 3}])
def test_an_index_that_does_not_exist(movie: np.ndarray, index: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"'worm' has no (plane|time point|channel) -?\d: "):
        ImageSeries(movie, "TCZYX", None, None, name="worm").plane(**index)


def test_planes_are_native_writable_and_contiguous(movie: np.ndarray) -> None:
    swapped = movie[0, 0].astype(">i4").transpose(0, 2, 1)
    swapped.flags.writeable = False
    plane = ImageSeries(swapped, "ZYX", None, None).plane(z=2)
    np.testing.assert_array_equal(plane, movie[0, 0, 2].T)
    assert plane.dtype.isnative
    assert plane.flags.writeable
    assert plane.flags.c_contiguous


def test_lazy_data_is_computed_only_for_the_plane_asked_for(movie: np.ndarray) -> None:
    computed = []

    def load(block_id: Any) -> Any:
        computed.append(block_id[0])
        return movie[0, 0, block_id[0]][np.newaxis]

    lazy = da.map_blocks(
        load, chunks=((1,) * 4, (5,), (6,)), dtype=np.int32, meta=np.empty((0, 0, 0), np.int32)
    )
    series = ImageSeries(lazy, "ZYX", None, None)
    assert computed == []
    np.testing.assert_array_equal(series.plane(z=3), movie[0, 0, 3])
    assert computed == [3]


@pytest.mark.parametrize("axes", ["XY", "ZTYX", "Z", "ZYXQ", "YXZ"])
def test_axes_out_of_order_are_refused(axes: str) -> None:
    with pytest.raises(ValueError, match="letters of 'TCZYX' in that order and end with 'YX'"):
        ImageSeries(np.zeros((2,) * len(axes)), axes, None, None)


def test_axes_that_do_not_fit_the_data_are_refused() -> None:
    with pytest.raises(ValueError, match="has 3 dimensions, but its axes are given as 'YX'"):
        ImageSeries(np.zeros((2, 2, 2)), "YX", None, None)


@pytest.mark.parametrize("size", [0.0, -0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["pixel_size_um", "z_step_um", "t_step_s"])
def test_sizes_must_be_positive(field: str, size: float) -> None:
    sizes: dict[str, Any] = {"pixel_size_um": 0.1, "z_step_um": 0.1, "t_step_s": 0.1} | {
        field: size
    }
    with pytest.raises(ValueError, match=f"{field} of 'image' .* positive"):
        ImageSeries(np.zeros((2, 2)), "YX", **sizes)


def test_empty_images_are_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        ImageSeries(np.zeros((0, 4)), "YX", None, None)


@pytest.mark.parametrize("dtype", [object, complex, "S3"])
def test_pixels_that_are_no_real_numbers_are_refused(dtype: Any) -> None:
    with pytest.raises(ValueError, match="only integers and floating point"):
        ImageSeries(np.zeros((2, 2), dtype), "YX", None, None)


def test_any_axis_order_becomes_tczyx(movie: np.ndarray) -> None:
    shuffled = movie.transpose(3, 4, 2, 0, 1)
    data, axes = in_axis_order(shuffled, "YXZTC", "worm")
    assert axes == "TCZYX"
    np.testing.assert_array_equal(data, movie)


def test_axes_of_length_one_are_dropped_but_not_y_and_x(movie: np.ndarray) -> None:
    data, axes = in_axis_order(movie[:1, :, :1, :, :1], "TCZYX", "worm")
    assert (axes, data.shape) == ("CYX", (3, 5, 1))


@pytest.mark.parametrize("axes", ["HCZYX", "ZZTYX", "TCZYZ"])
def test_axes_without_a_meaning_here_are_refused(movie: np.ndarray, axes: str) -> None:
    with pytest.raises(ImageFileError, match=r"axes of 'worm' \(2 x 3 x 4 x 5 x 6\) are not all"):
        in_axis_order(movie, axes, "worm")


def test_positions_and_channel_names_are_kept(movie: np.ndarray) -> None:
    names = ("DAPI", "", "GFP")
    series = ImageSeries(
        movie, "TCZYX", 0.3, 0.5, z_start_um=-4.5, origin_um=(0.0, -12.0), channel_names=names
    )
    assert (series.z_start_um, series.origin_um, series.channel_names) == (-4.5, (0, -12), names)
    plain = ImageSeries(movie, "TCZYX", 0.3, 0.5)
    assert (plain.z_start_um, plain.origin_um, plain.channel_names) == (None, None, ())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"z_start_um": float("nan")}, "A position of 'worm' is nan µm"),
        ({"origin_um": (0.0, float("inf"))}, "A position of 'worm' is inf µm"),
        ({"channel_names": ("one", "two")}, "'worm' has 3 channels, but 2 names"),
        ({"wavelengths_um": (0.5, 0.6)}, "'worm' has 3 channels, but 2 emission wavelengths"),
        ({"wavelengths_um": (0.5, 0.6, 600)}, "'wavelength_um' of a sampling is 600"),
        ({"na": 1.4, "immersion_index": 1.0}, "1.4 is not possible in an immersion of index 1"),
        ({"na": 63}, "'na' of a sampling is 63"),
    ],
)
def test_positions_and_names_that_cannot_be(
    movie: np.ndarray, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ImageSeries(movie, "TCZYX", None, None, name="worm", **wrong)


def test_every_channel_has_a_sampling(movie: np.ndarray) -> None:
    optics: dict[str, Any] = {"na": 0.75, "immersion_index": 1.0}
    series = ImageSeries(
        movie, "TCZYX", 0.3, 0.5, name="worm", wavelengths_um=(0.46, None, 0.6), **optics
    )
    assert [series.sampling(c) for c in range(3)] == [
        Sampling(pixel_size_um=0.3, wavelength_um=wavelength_um, **optics)
        for wavelength_um in (0.46, None, 0.6)
    ]
    assert series.sampling() == series.sampling(0)
    for c in (3, -1):
        with pytest.raises(ValueError, match=f"'worm' has no channel {c}: they are numbered"):
            series.sampling(c)


def test_a_series_without_wavelengths_or_channels_has_a_sampling(movie: np.ndarray) -> None:
    series = ImageSeries(movie[0, 0], "ZYX", 0.3, 0.5, na=1.2)
    assert series.sampling() == Sampling(pixel_size_um=0.3, na=1.2)


def test_without_a_pixel_size_there_is_no_sampling(movie: np.ndarray) -> None:
    series = ImageSeries(movie, "TCZYX", None, 0.5, na=1.2, wavelengths_um=(0.5, 0.5, 0.6))
    assert series.sampling(2) is None
