"""CZI files, written by the library of ZEISS itself."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import psutil
import pytest
from PIL import Image

from napari_deepz.images import ImageFileError
from napari_deepz.io.czi_directory import CziDirectory, CziTile, read_directory
from napari_deepz.io.czi_pixels import decoded
from napari_deepz.io.reading import read_image, read_provenance
from tests.io.notes import noted

czi = pytest.importorskip("pylibCZIrw.czi", reason="needs pylibCZIrw, which writes the files")

SHAPE = (3, 2, 4, 20, 30)
OBJECTIVES = """
  <Instrument><Objectives>
    <Objective Id="Objective:0"><LensNA>0.8</LensNA><Immersion>Air</Immersion></Objective>
    <Objective Id="Objective:1"><LensNA>1.4</LensNA><Immersion>Oil</Immersion></Objective>
  </Objectives></Instrument>"""
SETTINGS = """<ObjectiveSettings><ObjectiveRef Id="Objective:1"/><Medium>Oil</Medium>
    <RefractiveIndex>1.518</RefractiveIndex></ObjectiveSettings>"""
CHANNELS = """<Channels>
    <Channel Id="Channel:0" Name="GFP"><EmissionWavelength>509</EmissionWavelength></Channel>
    <Channel Id="Channel:1" Name="DAPI"><EmissionWavelength>465</EmissionWavelength></Channel>
  </Channels>"""
TIMES = """<T><Positions><Interval><Start>0</Start><Increment>2.5</Increment></Interval></Positions>
  </T>"""
SCALING = """<Scaling><Items>
    <Distance Id="X"><Value>1.3E-07</Value><DefaultUnitFormat>nm</DefaultUnitFormat></Distance>
    <Distance Id="Y"><Value>1.3E-07</Value></Distance>
    <Distance Id="Z"><Value>5E-07</Value></Distance></Items></Scaling>"""


def description(
    *, objectives: str = OBJECTIVES, settings: str = SETTINGS, channels: str = CHANNELS
) -> str:
    return f"""<ImageDocument><Metadata><Information>{objectives}
      <Image>{settings}<Dimensions>{channels}{TIMES}</Dimensions></Image>
      </Information>{SCALING}</Metadata></ImageDocument>"""


def numbered(dtype: Any = np.uint16, shape: tuple[int, ...] = SHAPE) -> Any:
    return (np.arange(np.prod(shape)) % 60_000).astype(dtype).reshape(shape)


def write_czi(
    path: Path,
    pixels: Any,
    *,
    xml: str | None = None,
    scenes: Iterable[int] = (0,),
    first: tuple[int, int, int] = (0, 0, 0),
    skip: tuple[tuple[int, int, int], ...] = (),
    **how: Any,
) -> Path:
    """Pixels (T, C, Z, Y, X) or (T, C, Z, Y, X, 3), in each scene as many more as its number."""
    with czi.create_czi(str(path), **how) as file:
        for scene in scenes:
            for place in np.ndindex(pixels.shape[:3]):
                if place in skip:
                    continue
                plane = pixels[place] if pixels.ndim == 6 else pixels[place][..., np.newaxis]
                t, c, z = np.add(place, first).tolist()
                file.write(
                    np.ascontiguousarray(plane + plane.dtype.type(scene)),
                    plane={"T": t, "C": c, "Z": z},
                    scene=scene,
                    location=(1000 * scene, 50),
                )
        file.write_metadata("image")
    if xml is not None:
        with czi.edit_czi(str(path)) as editor, editor.edit_session() as session:
            session.set_xml(xml)
    return path


def open_directory(path: Path) -> CziDirectory:
    with path.open("rb") as file:
        return read_directory(file)


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    return write_czi(tmp_path / "worm.czi", numbered(), xml=description())


@pytest.mark.parametrize(
    ("dtype", "how"),
    [
        *[(dtype, "uncompressed:") for dtype in (np.uint8, np.uint16, np.float32)],
        *[(dtype, "zstd0:ExplicitLevel=2") for dtype in (np.uint8, np.uint16)],
        *[(dtype, "zstd1:ExplicitLevel=2") for dtype in (np.uint8, np.uint16)],
        (np.uint16, "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack"),
    ],
)
def test_every_plane_lies_where_it_was_taken(tmp_path: Path, dtype: Any, how: str) -> None:
    stored = numbered(dtype)
    series = read_image(write_czi(tmp_path / "worm.czi", stored, compression_options=how))
    assert (series.axes, series.data.shape, series.data.dtype) == ("TCZYX", SHAPE, dtype)
    assert series.name == "worm"
    np.testing.assert_array_equal(np.asarray(series.data), stored)
    np.testing.assert_array_equal(series.plane(t=2, c=1, z=3), stored[2, 1, 3])
    assert series.notes == ()


def test_sizes_and_optics_are_those_that_the_file_states(movie: Path) -> None:
    series = read_image(movie)
    assert (series.pixel_size_um, series.z_step_um, series.t_step_s) == (0.13, 0.5, 2.5)
    assert series.channel_names == ("GFP", "DAPI")
    assert (series.na, series.immersion_index) == (1.4, 1.518)
    assert series.wavelengths_um == (0.509, 0.465)
    assert read_provenance(movie) is None


@pytest.mark.parametrize(
    ("objectives", "settings", "na", "index"),
    [
        (OBJECTIVES, "", None, None),
        (OBJECTIVES, SETTINGS.split("<RefractiveIndex>")[0] + "</ObjectiveSettings>", 1.4, 1.515),
        (OBJECTIVES.replace("1.4", "14"), SETTINGS, None, 1.518),
        ("", SETTINGS, None, 1.518),
        ("", "", None, None),
    ],
)
def test_the_objective_is_the_one_that_was_used(
    tmp_path: Path, objectives: str, settings: str, na: float | None, index: float | None
) -> None:
    xml = description(objectives=objectives, settings=settings)
    series = read_image(write_czi(tmp_path / "a.czi", numbered(shape=(1, 2, 1, 5, 6)), xml=xml))
    assert (series.na, series.immersion_index) == (na, index)


def test_what_the_file_does_not_say_stays_unknown(tmp_path: Path) -> None:
    series = read_image(write_czi(tmp_path / "a.czi", numbered(shape=(2, 1, 2, 5, 6))))
    assert series.axes == "TZYX"
    assert (series.pixel_size_um, series.z_step_um, series.t_step_s) == (None, None, None)
    assert (series.na, series.immersion_index, series.wavelengths_um) == (None, None, ())


def test_of_several_scenes_the_first_is_read(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "a.czi", numbered(), scenes=(2, 5, 7))
    series = read_image(path)
    assert series.notes == ("'a.czi' holds 3 images of which only the first was read.",)
    np.testing.assert_array_equal(np.asarray(series.data), numbered() + 2)


def test_tiles_of_a_scene_are_one_image(tmp_path: Path) -> None:
    left, right = numbered(shape=(20, 30)), numbered(shape=(20, 10)) + 7
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        file.write(left[..., np.newaxis], location=(0, 0))
        file.write(right[..., np.newaxis], location=(30, 0))
    series = read_image(tmp_path / "a.czi")
    np.testing.assert_array_equal(series.plane(), np.hstack([left, right]))


def test_where_tiles_overlap_the_last_one_is_seen_as_zeiss_shows_it(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path), compression_options="zstd1:ExplicitLevel=1") as file:
        for left, top in ((-500, 7), (-480, 0), (-490, 15), (-440, 30)):
            tile = rng.integers(1, 60_000, (25, 30, 1)).astype(np.uint16)
            file.write(tile, location=(left, top), scene=3)
    with czi.open_czi(str(path)) as file:
        expected = file.read()[..., 0]
    np.testing.assert_array_equal(read_image(path).plane(), expected)


def test_tiles_that_lie_absurdly_far_apart_are_refused(tmp_path: Path) -> None:
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        for left in (0, 100_000_000):
            file.write(numbered(shape=(20, 30, 1)), location=(left, 0))
    with pytest.raises(ImageFileError, match="lie 100000030 x 20 pixels apart"):
        read_image(tmp_path / "a.czi")


def test_smaller_copies_for_large_images_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as file:
        file.write(numbered(shape=(20, 30, 1)))
        file.write(numbered(shape=(20, 30, 1)) + 1, location=(500, 0))
    stored = bytearray(path.read_bytes())
    width = stored.rindex(b"X\0\0\0", stored.index(b"ZISRAWDIRECTORY"))
    assert struct.unpack_from("<iifi", stored, width + 4) == (500, 30, 0.0, 30)
    struct.pack_into("<i", stored, width + 16, 15)
    path.write_bytes(stored)
    np.testing.assert_array_equal(read_image(path).plane(), numbered(shape=(20, 30)))


@pytest.mark.parametrize(("dtype", "pixel_type"), [(np.uint8, 0), (np.uint16, 1)])
def test_jpeg_xr_is_decoded_as_it_was_encoded(
    rng: np.random.Generator, dtype: Any, pixel_type: int
) -> None:
    stored = rng.integers(0, np.iinfo(dtype).max, (40, 50)).astype(dtype)
    tile = CziTile({}, 0, 0, 50, 40, 0, pixel_type, 4, 0)
    encoded = bytes(imagecodecs.jpegxr_encode(stored, level=1.0))
    np.testing.assert_array_equal(decoded(encoded, tile)[..., 0], stored)


def test_jpeg_is_decoded_as_by_others(rng: np.random.Generator) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(smooth).save(written, "JPEG")
    tile = CziTile({}, 0, 0, 50, 40, 0, 0, 1, 0)
    expected = np.asarray(Image.open(io.BytesIO(written.getvalue())))
    np.testing.assert_array_equal(decoded(written.getvalue(), tile)[..., 0], expected)
    with pytest.raises(ValueError, match="in a tile of"):
        decoded(written.getvalue(), replace(tile, width=51))


def test_a_part_of_a_recording_begins_where_it_begins(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "a.czi", numbered(), first=(4, 0, 9))
    np.testing.assert_array_equal(np.asarray(read_image(path).data), numbered())
    one = write_czi(tmp_path / "b.czi", numbered()[:1, :1, :1], first=(4, 0, 9))
    np.testing.assert_array_equal(read_image(one).plane(), numbered()[0, 0, 0])


def test_planes_that_were_never_taken_are_not_given_out(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "a.czi", numbered(), skip=((2, 1, 3), (2, 0, 3)))
    with noted(r"2 of 24 planes of 'a\.czi' are missing"):
        series = read_image(path)
    np.testing.assert_array_equal(series.plane(t=2, c=1, z=2), numbered()[2, 1, 2])
    with pytest.raises(ValueError, match="never taken"):
        series.plane(t=2, c=1, z=3)


def test_colours_of_one_fluorescence_become_it_and_others_are_refused(tmp_path: Path) -> None:
    grey = numbered(np.uint8, (2, 1, 3, 5, 6))
    one = np.stack([grey * 0, grey, grey * 0], axis=-1)
    series = read_image(write_czi(tmp_path / "a.czi", one))
    np.testing.assert_array_equal(np.asarray(series.data), grey[:, 0])
    with pytest.raises(ImageFileError, match="is a colour image"):
        read_image(write_czi(tmp_path / "b.czi", np.stack([grey, grey + 1, grey + 2], axis=-1)))


def test_channels_of_different_depth_are_kept_as_they_are(tmp_path: Path) -> None:
    small, large = numbered(np.uint8, (5, 6)), numbered(np.uint16, (5, 6)) + 1000
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        file.write(small[..., np.newaxis], plane={"C": 0})
        file.write(large[..., np.newaxis], plane={"C": 1})
    series = read_image(tmp_path / "a.czi")
    assert series.data.dtype == np.uint16
    np.testing.assert_array_equal(series.plane(c=0), small)
    np.testing.assert_array_equal(series.plane(c=1), large)


def test_rotations_are_no_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(czi.CziWriter, "_create_plane", staticmethod(lambda place, _: place))
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        for rotation in range(2):
            file.write(numbered(shape=(5, 6, 1)), plane={"C": 0, "R": rotation})
    with pytest.raises(ImageFileError, match="several rotations of the same place"):
        read_image(tmp_path / "a.czi")


def test_the_file_is_closed_in_between_and_must_stay_the_same(movie: Path) -> None:
    series = read_image(movie)
    series.plane()
    assert movie not in [Path(file.path) for file in psutil.Process().open_files()]
    movie.write_bytes(movie.read_bytes() + b"more")
    with pytest.raises(ImageFileError, match="was changed after it was opened"):
        series.plane()
    movie.unlink()
    with pytest.raises(ImageFileError, match="was moved or deleted"):
        series.plane()


def test_a_name_of_any_letters(movie: Path, tmp_path: Path) -> None:
    movie.rename(tmp_path / "Würmer µ 線虫.czi")
    np.testing.assert_array_equal(
        read_image(tmp_path / "Würmer µ 線虫.czi").plane(), numbered()[0, 0, 0]
    )


def test_damaged_and_foreign_files_are_said(movie: Path, tmp_path: Path) -> None:
    whole = movie.read_bytes()
    for part in (0, 3, 100, len(whole) // 2):
        (tmp_path / "cut.czi").write_bytes(whole[:part])
        with pytest.raises(ImageFileError, match=r"'cut\.czi' is not a CZI file of ZEISS, or it"):
            read_image(tmp_path / "cut.czi")
    (tmp_path / "text.czi").write_text("not an image")
    with pytest.raises(ImageFileError, match="is not a CZI file"):
        read_image(tmp_path / "text.czi")
    (tmp_path / "none.czi").unlink(missing_ok=True)
    with czi.create_czi(str(tmp_path / "none.czi")) as file:
        file.write_metadata("nothing")
    with pytest.raises(ImageFileError, match="holds no pixels"):
        read_image(tmp_path / "none.czi")


@pytest.mark.parametrize("begin", ["<!DOCTYPE a>", "<a>" * 101, "no xml"])
def test_a_description_that_could_blow_up_is_refused(movie: Path, begin: str) -> None:
    stored = movie.read_bytes()
    at = stored.rindex(b"<ImageDocument")
    movie.write_bytes(stored[:at] + begin.encode() + stored[at + len(begin) :])
    with pytest.raises(ImageFileError, match=r"The description in 'worm\.czi' is damaged"):
        read_image(movie)


def test_any_byte_may_be_wrong(movie: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    whole = np.frombuffer(movie.read_bytes(), np.uint8)
    for _ in range(40):
        broken = whole.copy()
        broken[rng.integers(len(whole), size=300)] = rng.integers(256, size=300)
        (tmp_path / "a.czi").write_bytes(broken.tobytes())
        with suppress(ImageFileError):
            read_image(tmp_path / "a.czi").stack()


def test_more_than_fits_into_memory_is_refused(
    movie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = psutil.virtual_memory()._replace(available=100)
    monkeypatch.setattr("napari_deepz.io.room.psutil.virtual_memory", lambda: free)
    with pytest.raises(ImageFileError, match=r"A plane of 'worm\.czi' needs"):
        read_image(movie)
