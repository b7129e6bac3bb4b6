from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image
from tests.io.notes import noted
from tests.io.samples import STACK, write_imagej


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_plain_pages_are_planes(tmp_path: Path, compression: str | None, byteorder: str) -> None:
    path = tmp_path / "pages.tif"
    tifffile.imwrite(
        path,
        STACK,
        photometric="minisblack",
        metadata=None,
        compression=compression,
        byteorder=byteorder,
    )
    series = read_image(path)
    assert (series.axes, series.pixel_size_um, series.z_step_um) == ("ZYX", None, None)
    np.testing.assert_array_equal(series.stack(), STACK)
    assert series.plane(z=1).dtype == np.dtype("uint16")


def test_pixels_wait_until_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "raw.tif", STACK, photometric="minisblack")
    tifffile.imwrite(tmp_path / "zip.tif", STACK, photometric="minisblack", compression="zlib")
    series = read_image(tmp_path / "raw.tif")
    assert isinstance(series.data, da.Array)
    read = []
    fromfile = np.fromfile

    def reading(file: Any, dtype: Any, count: int) -> np.ndarray:
        read.append(count)
        return fromfile(file, dtype, count)

    monkeypatch.setattr(np, "fromfile", reading)
    np.testing.assert_array_equal(series.plane(z=3), STACK[3])
    assert read == [40 * 48]
    series = read_image(tmp_path / "zip.tif")
    assert isinstance(series.data, da.Array)
    assert series.data.chunksize == (1, 40, 48)
    decoded = []
    original = tifffile.TiffPage.asarray

    def decoding(page: Any) -> Any:
        decoded.append(page.offset)
        return original(page)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", decoding)
    np.testing.assert_array_equal(series.plane(z=3), STACK[3])
    with tifffile.TiffFile(tmp_path / "zip.tif") as tif:
        assert decoded == [tif.pages[3].offset]


def test_no_file_stays_open(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil", reason="measures memory")
    path = tmp_path / "zip.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", compression="zlib")
    series = read_image(path)
    series.plane(z=2)
    assert str(path) not in [file.path for file in psutil.Process().open_files()]


@pytest.mark.parametrize(
    "name", ["worm 2.TIF", "würmer µm 線虫.tiff", "a.b.ome.tif", "UP.OME.TIFF"]
)
def test_real_file_names(tmp_path: Path, name: str) -> None:
    tifffile.imwrite(tmp_path / name, STACK[0])
    series = read_image(str(tmp_path / name))
    np.testing.assert_array_equal(series.plane(), STACK[0])
    assert series.name == name.split(".ome")[0].split(".OME")[0].split(".tif")[0].split(".TIF")[0]


def test_relative_path_survives_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "zip.tif", STACK, photometric="minisblack", compression="zlib")
    monkeypatch.chdir(tmp_path)
    series = read_image("zip.tif")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(series.plane(z=4), STACK[4])


@pytest.mark.parametrize(
    ("axes", "expected"), [("TZCYX", "TCZYX"), ("CTZYX", "TCZYX"), ("TCZYX", "TCZYX")]
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_axes_are_put_in_order(
    tmp_path: Path, axes: str, expected: str, compression: str | None
) -> None:
    lengths = {"T": 2, "C": 3, "Z": 4, "Y": 20, "X": 24}
    data = np.arange(2 * 3 * 4 * 20 * 24, dtype=np.uint16).reshape([lengths[a] for a in axes])
    path = tmp_path / "movie.ome.tif"
    tifffile.imwrite(path, data, metadata={"axes": axes}, compression=compression)
    series = read_image(path)
    assert series.axes == expected
    truth = data.transpose([axes.index(a) for a in "TCZYX"])
    np.testing.assert_array_equal(series.plane(t=1, c=2, z=3), truth[1, 2, 3])
    np.testing.assert_array_equal(series.stack(t=0, c=1), truth[0, 1])


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.2, None, 0.2),
        (200.0, "nm", 0.2),
        (0.0002, "mm", 0.2),
        (2000.0, "Å", 0.2),
        (0.2, "pixel", None),
        (0.2, "reference frame", None),
        (0.0, "µm", None),
    ],
)
def test_ome_units(tmp_path: Path, value: float, unit: str | None, expected: float | None) -> None:
    metadata: dict[str, Any] = {"axes": "ZYX"}
    for axis in "XYZ":
        metadata[f"PhysicalSize{axis}"] = value
        if unit:
            metadata[f"PhysicalSize{axis}Unit"] = unit
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=metadata)
    series = read_image(tmp_path / "a.ome.tif")
    assert series.pixel_size_um == (None if expected is None else pytest.approx(expected))
    assert series.z_step_um == (None if expected is None else pytest.approx(expected))


def test_ome_time_step(tmp_path: Path) -> None:
    metadata = {"axes": "TYX", "TimeIncrement": 250.0, "TimeIncrementUnit": "ms"}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=metadata)
    series = read_image(tmp_path / "a.ome.tif")
    assert (series.axes, series.t_step_s, series.z_step_um) == ("TYX", 0.25, None)


def test_several_images_in_one_file_are_said(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        tif.write(STACK, metadata={"axes": "ZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1})
        tif.write(STACK[:2, :30], metadata={"axes": "ZYX"})
    with noted("'a.ome.tif' holds 2 images of which only the first"):
        series = read_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(series.stack(), STACK)
    assert series.pixel_size_um == 0.1


@pytest.mark.parametrize(
    "unit", ["micron", "microns", "um", "micrometer", "\\u00B5m", "\\u00b5m", "Micron"]
)
def test_imagej_spellings_of_the_micrometre(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "ij.tif"
    write_imagej(path, STACK, pixels_per_unit=(4.0, 4.0), axes="ZYX", unit=unit, spacing=0.5)
    series = read_image(path)
    assert (series.axes, series.pixel_size_um, series.z_step_um) == ("ZYX", 0.25, 0.5)
    np.testing.assert_array_equal(series.stack(), STACK)


@pytest.mark.parametrize("raw", ["µm".encode(), "µm".encode("latin-1")])
def test_imagej_unit_as_raw_bytes(tmp_path: Path, raw: Any) -> None:
    path = tmp_path / "ij.tif"
    write_imagej(path, STACK, pixels_per_unit=(4.0, 4.0), axes="ZYX", unit="XXX"[: len(raw)])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"unit=" + b"X" * len(raw), b"unit=" + raw))
    assert read_image(path).pixel_size_um == 0.25


@pytest.mark.parametrize(
    ("unit", "pixels_per_unit", "spacing", "pixel_um", "z_um"),
    [
        ("nm", 0.01, 300.0, 0.1, 0.3),
        ("mm", 10000.0, 0.0003, 0.1, 0.3),
        ("cm", 1e5, 3e-5, 0.1, 0.3),
        ("inch", 254000.0, 0.3 / 25400, 0.1, 0.3),
        ("inch", 72.0, 1.0, None, None),
        ("inch", 72.0, 0.0138889, None, None),
        ("cm", 28.346, 0.0353, None, None),
        ("inches", 300.0, 1.0, None, None),
        ("centimeter", 118.11, 0.5, None, None),
        ("mm", 2000.0, 0.0005, 0.5, 0.5),
        ("pixel", 1.0, 1.0, None, None),
        ("", 1.0, 1.0, None, None),
        ("um", 10.0, -0.3, 0.1, 0.3),
    ],
)
def test_imagej_other_units(
    tmp_path: Path,
    unit: str,
    pixels_per_unit: float,
    spacing: Any,
    pixel_um: float | None,
    z_um: float | None,
) -> None:
    path = tmp_path / "ij.tif"
    resolution = (pixels_per_unit, pixels_per_unit)
    write_imagej(path, STACK, pixels_per_unit=resolution, axes="ZYX", unit=unit, spacing=spacing)
    series = read_image(path)
    approximately = {
        size: None if size is None else pytest.approx(size, rel=1e-4) for size in (pixel_um, z_um)
    }
    assert series.pixel_size_um == approximately[pixel_um]
    assert series.z_step_um == approximately[z_um]


def test_imagej_hyperstack_with_time(tmp_path: Path) -> None:
    data = np.arange(2 * 3 * 4 * 20 * 24, dtype=np.uint16).reshape(2, 3, 4, 20, 24)
    path = tmp_path / "ij.tif"
    write_imagej(path, data, pixels_per_unit=(4, 4), axes="TZCYX", unit="um", finterval=1.5)
    series = read_image(path)
    assert (series.axes, series.t_step_s) == ("TCZYX", 1.5)
    np.testing.assert_array_equal(series.plane(t=1, c=3, z=2), data[1, 2, 3])
    assert series.z_step_um is None


@pytest.mark.parametrize(
    ("pixels_per_unit", "unit", "expected"),
    [
        (30769.23, 3, 0.325),
        (78153.85, 2, 0.325),
        (72.0, 2, None),
        (300.0, 2, None),
        (1200.0, 2, None),
        (118.11, 3, None),
        (3.0769, 1, None),
    ],
)
def test_resolution_tags_count_only_where_they_can_mean_the_sample(
    tmp_path: Path, pixels_per_unit: float, unit: int, expected: float | None
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK[0],
        resolution=(pixels_per_unit, pixels_per_unit),
        resolutionunit=unit,
    )
    size = read_image(tmp_path / "a.tif").pixel_size_um
    assert size == (None if expected is None else pytest.approx(expected, rel=1e-4))


@pytest.mark.parametrize(("y_um", "expected"), [(0.1005, 0.10025), (0.1, 0.1), (0.102, None)])
def test_pixels_must_be_square_within_one_percent(
    tmp_path: Path, y_um: float, expected: float | None
) -> None:
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": y_um}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=metadata)
    if expected is None:
        problem = "The pixels of 'a.ome.tif' are stored as 0.1 µm wide but 0.102 µm high"
        with noted(f"{problem}, so it counts as unknown"):
            series = read_image(tmp_path / "a.ome.tif")
        assert (series.pixel_size_um, series.pixel_size_problem) == (None, problem)
    else:
        assert read_image(tmp_path / "a.ome.tif").pixel_size_um == pytest.approx(expected)


def test_axes_without_a_meaning_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 5, 20, 24), np.uint16))
    with pytest.raises(ImageFileError, match=r"axes of 'a.tif' \(2 x 5 x 20 x 24\) are not all"):
        read_image(tmp_path / "a.tif")


def test_a_compression_that_needs_another_package(tmp_path: Path) -> None:
    pixels = STACK[0]
    Image.fromarray(pixels).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        with pytest.raises(
            ImageFileError, match=r"'lzw.tif' needs one more package: .*imagecodecs"
        ):
            read_image(tmp_path / "lzw.tif")
    else:
        np.testing.assert_array_equal(read_image(tmp_path / "lzw.tif").plane(), pixels)


def test_a_damaged_page_is_named_when_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "zip.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tif:
        start, length = tif.pages[3].dataoffsets[0], tif.pages[3].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start : start + length] = b"\x55" * length
    path.write_bytes(content)
    series = read_image(path)
    np.testing.assert_array_equal(series.plane(z=2), STACK[2])
    with pytest.raises(ImageFileError, match=r"'zip.tif' is damaged"):
        series.plane(z=3)


def test_a_missing_part_of_a_data_set_in_several_files(tmp_path: Path) -> None:
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:1"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
        'Type="uint16" SizeX="48" SizeY="40" SizeZ="2" SizeC="1" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        '<TiffData IFD="0" FirstZ="0" PlaneCount="1"><UUID FileName="a.ome.tif">urn:uuid:1</UUID>'
        '</TiffData><TiffData IFD="0" FirstZ="1" PlaneCount="1">'
        '<UUID FileName="b.ome.tif">urn:uuid:2</UUID></TiffData></Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK[0], description=xml, metadata=None)
    with pytest.raises(ImageFileError, match=r"1 of 2 planes of 'a.ome.tif' are missing"):
        read_image(tmp_path / "a.ome.tif")
    tifffile.imwrite(tmp_path / "b.ome.tif", STACK[1], metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif").stack(), STACK[:2])
