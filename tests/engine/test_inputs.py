from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_deepz.engine.inputs import check_image, check_surfaces
from napari_deepz.surfaces import Flat, FromImage, Tilted

GREY = np.random.default_rng(0).integers(0, 120, (40, 50))


@pytest.mark.parametrize(
    "dtype", ["u1", "<u2", ">u2", "<i2", ">i2", "u4", "i8", "<f4", ">f4", "<f8", ">f8", "f2"]
)
def test_every_pixel_type_becomes_the_same_float32(dtype: str) -> None:
    pixels = check_image(GREY.astype(dtype)).pixels
    assert pixels.dtype == np.dtype("=f4")
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, GREY)


def test_every_memory_layout_becomes_the_same_pixels() -> None:
    strided = np.zeros((80, 150), dtype=np.uint16)
    strided[::2, ::3] = GREY
    read_only = GREY.astype(np.uint8)
    read_only.flags.writeable = False
    for image in (
        strided[::2, ::3],
        np.asfortranarray(GREY.astype(np.float32)),
        GREY[::-1, ::-1].astype(np.float32)[::-1, ::-1],
        read_only,
        da.from_array(GREY.astype(np.int16), chunks=(16, 17)),
        GREY.tolist(),
    ):
        pixels = check_image(image).pixels
        assert pixels.flags.c_contiguous
        np.testing.assert_array_equal(pixels, GREY)


def test_zarr_arrays_are_read() -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    stored = zarr.array(GREY.astype(np.uint16), chunks=(16, 16))
    np.testing.assert_array_equal(check_image(stored).pixels, GREY)


def test_a_mask_is_an_image_of_zeros_and_ones() -> None:
    np.testing.assert_array_equal(check_image(GREY > 60).pixels, (GREY > 60).astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((0, 50), r"The image is empty \(0 × 50 pixels\)"),
        ((3, 40, 50), r"The image is 3D \(3 × 40 × 50\)"),
        ((50,), r"The image is 1D \(50\)"),
        ((), r"The image is 0D \(a single number\)"),
        ((31, 200), "31 × 200 pixels, too small to refocus; it needs at least 32 × 32"),
    ],
)
def test_unusable_shapes_are_refused_in_a_sentence(shape: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_image(np.zeros(shape))


def test_a_large_lazy_stack_is_refused_without_reading_it() -> None:
    def read(_block: Any) -> None:
        raise AssertionError("the stack was read")

    stack = da.zeros((100, 4096, 4096), chunks=(1, 4096, 4096)).map_blocks(
        read, dtype=float, meta=np.empty((0, 0, 0))
    )
    with pytest.raises(ValueError, match="The image is 3D"):
        check_image(stack)


@pytest.mark.parametrize("image", [GREY * 1j, GREY.astype(str), GREY.astype(object)])
def test_pixels_that_are_not_real_numbers_are_refused(image: Any) -> None:
    with pytest.raises(ValueError, match="not real numbers"):
        check_image(image)


def test_pixels_that_are_not_finite_take_the_median_and_the_input_keeps_them() -> None:
    image = GREY.astype(np.float32)
    image[3, 4], image[5, 6], image[7, 8] = np.nan, np.inf, -np.inf
    checked = check_image(image)
    good = np.isfinite(image)
    median = np.median(image[good])
    assert np.isnan(image[3, 4])
    np.testing.assert_array_equal(checked.pixels, np.where(good, image, median))
    assert checked.notes == (
        f"3 pixels are NaN or infinite; the median, {median:g}, was used there instead.",
    )


def test_values_beyond_float32_count_as_infinite() -> None:
    image = GREY.astype(np.float64)
    image[0, 0] = 1e300
    checked = check_image(image)
    assert checked.pixels[0, 0] == np.median(GREY.ravel()[1:])
    assert "1 pixel is NaN or infinite" in checked.notes[0]


def test_an_image_without_a_finite_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="no finite pixel"):
        check_image(np.full((40, 40), np.nan))


def test_a_constant_image_is_noticed() -> None:
    checked = check_image(np.full((40, 40), 7, dtype=np.uint8))
    assert checked.constant == 7
    assert "the same value, 7" in checked.notes[0]
    assert check_image(GREY).constant is None


def test_surfaces_come_alone_in_sequences_and_as_arrays() -> None:
    flat, tilted, dpm_um = Flat(-1, 1, 1), Tilted(1, 0), np.full((40, 50), 2.0)
    assert check_surfaces(flat) == (flat,)
    assert check_surfaces(iter([flat, tilted])) == (flat, tilted)
    (from_array,) = check_surfaces(dpm_um)
    assert isinstance(from_array, FromImage)
    np.testing.assert_array_equal(from_array.dpm((40, 50), 0.3), dpm_um)
    assert [type(one) for one in check_surfaces([flat, dpm_um])] == [Flat, FromImage]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "No surface to refocus onto was given"),
        (3.0, "given as float; give Flat"),
        ("-5:5:1", "given as str; give Flat"),
        (np.zeros(5), "given as 1D array; give Flat"),
        (np.float64(3), "given as float64; give Flat"),
        ([Flat(1.0), 3], "given as int; give Flat"),
    ],
)
def test_what_is_not_a_surface_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_surfaces(given)
