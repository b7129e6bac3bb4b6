"""Movies and several channels, read back by this package and by independent readers."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ome_types
import pytest
import tifffile

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image
from napari_deepz.io.replacing import require_replaceable
from napari_deepz.io.tiff_planes import StoredFile
from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from napari_deepz.sampling import Sampling
from napari_deepz.watch import Cancelled
from tests.io.stacks import PROVENANCE

T, C, Z, Y, X = 3, 2, 4, 9, 14
MOVIE = np.arange(T * C * Z * Y * X, dtype=np.float32).reshape(T, C, Z, Y, X)
NAMES = ("GFP", "Würmer <2>")
WATER = Sampling(pixel_size_um=0.1, na=1.1, immersion_index=1.33)
OIL = Sampling(pixel_size_um=0.0645, na=1.4, immersion_index=1.518, wavelength_um=0.461)
FORMATS = [("a.ome.tif", "0.5"), ("a.ome.zarr", "0.5"), ("a.ome.zarr", "0.4")]


@pytest.fixture(params=FORMATS, ids=["tiff", "zarr 0.5", "zarr 0.4"])
def form(request: pytest.FixtureRequest) -> tuple[str, str]:
    name, version = request.param
    if name.endswith("zarr"):
        pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    return name, version


def write(
    path: Path, movie: np.ndarray, planes: Any = None, version: str = "0.5", **changes: Any
) -> None:
    """Write (T, C, Z, Y, X)."""
    t_count, channels, count, *shape = movie.shape
    settings: dict[str, Any] = {
        "count": count,
        "shape": tuple(shape),
        "dtype": movie.dtype,
        "sampling": WATER,
        "z_step_um": 0.5,
        "z_start_um": -1.0,
        "name": "movie",
        "provenance": PROVENANCE,
        "t_count": t_count,
        "t_step_s": 0.25,
        "channel_names": NAMES if channels == 2 else (),
        "ome_zarr_version": version,
    }
    planes = movie.reshape(-1, *shape) if planes is None else planes
    write_stack(path, planes, **settings | changes)


@pytest.mark.parametrize(
    ("sizes", "axes"),
    [
        ((T, C, Z), "TCZYX"),
        ((T, 1, Z), "TZYX"),
        ((1, C, Z), "CZYX"),
        ((T, C, 1), "TCYX"),
        ((T, 1, 1), "TYX"),
        ((1, C, 1), "CYX"),
        ((1, 1, Z), "ZYX"),
    ],
)
def test_every_choice_of_axes_comes_back(
    tmp_path: Path, form: tuple[str, str], sizes: tuple[int, int, int], axes: str
) -> None:
    name, version = form
    movie = MOVIE[: sizes[0], : sizes[1], : sizes[2]]
    write(tmp_path / name, movie, version=version)
    series = read_image(tmp_path / name)
    assert series.axes == axes
    assert series.pixel_size_um == 0.1
    assert series.z_step_um == (0.5 if "Z" in axes else None)
    assert "T" not in axes or series.t_step_s == 0.25
    assert series.channel_names == (NAMES if "C" in axes else ("movie",))
    assert (series.na, series.immersion_index, series.wavelengths_um) == (1.1, 1.33, ())
    np.testing.assert_array_equal(np.asarray(series.data).reshape(movie.shape), movie)
    for t, c, z in np.ndindex(sizes):
        np.testing.assert_array_equal(series.plane(t=t, c=c, z=z), movie[t, c, z])


def test_tiff_for_independent_readers(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    write(path, MOVIE, wavelengths_um=(0.52, None))
    with tifffile.TiffFile(path) as tif:
        assert (tif.series[0].kind, tif.series[0].axes) == ("ome", "TCZYX")
        np.testing.assert_array_equal(tif.asarray(), MOVIE)
        assert len(tif.pages) == T * C * Z
        ome = ome_types.from_xml(tif.ome_metadata, validate=True)
    image = ome.images[0]
    pixels = image.pixels
    assert (pixels.size_t, pixels.size_c, pixels.size_z) == (T, C, Z)
    assert (pixels.size_y, pixels.size_x) == (Y, X)
    assert (pixels.time_increment, pixels.time_increment_unit.value) == (0.25, "s")
    assert (pixels.physical_size_z, pixels.physical_size_z_unit.value) == (0.5, "µm")
    assert (pixels.physical_size_x, pixels.physical_size_y) == (0.1, 0.1)
    assert tuple(channel.name for channel in pixels.channels) == NAMES
    assert [channel.emission_wavelength for channel in pixels.channels] == [520.0, None]
    assert pixels.channels[0].emission_wavelength_unit.value == "nm"
    assert [(p.the_t, p.the_c, p.the_z) for p in pixels.planes] == list(np.ndindex(T, C, Z))
    assert [p.position_z for p in pixels.planes] == [-1.0, -0.5, 0.0, 0.5] * (T * C)
    (objective,) = ome.instruments[0].objectives
    assert (objective.lens_na, objective.immersion.value) == (1.1, "Water")
    assert image.instrument_ref.id == ome.instruments[0].id
    assert image.objective_settings.id == objective.id
    assert image.objective_settings.refractive_index == 1.33
    assert dict(ome.structured_annotations.map_annotations[0].value)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_zarr_for_independent_readers(tmp_path: Path, version: str) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    yaozarrs = pytest.importorskip("yaozarrs", reason="reads OME-Zarr independently")
    path = tmp_path / "a.ome.zarr"
    write(path, MOVIE, version=version)
    yaozarrs.validate_zarr_store(path)
    about = yaozarrs.open_group(path).ome_metadata()
    (multiscale,) = about.multiscales
    assert (about.version if version == "0.5" else multiscale.version) == version
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [
        ("t", "time", "second"),
        ("c", "channel", None),
        *((axis, "space", "micrometer") for axis in "zyx"),
    ]
    scale, translation = multiscale.datasets[0].coordinateTransformations
    assert scale.scale == [0.25, 1.0, 0.5, 0.1, 0.1]
    assert translation.translation == [0.0, 0.0, -1.0, 0.0, 0.0]
    channels = about.omero.channels
    assert tuple(channel.label for channel in channels) == NAMES
    assert len({channel.color for channel in channels}) == 2
    assert [(channel.window.start, channel.window.end) for channel in channels] == [
        (MOVIE[:, c].min(), MOVIE[:, c].max()) for c in range(C)
    ]
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == (3 if version == "0.5" else 2)
    np.testing.assert_array_equal(group["0"][:], MOVIE)
    assert group["0"].chunks == (1, 1, 1, Y, X)
    last = "2/1/3/0/0"
    assert (path / "0" / (f"c/{last}" if version == "0.5" else last)).is_file()


def test_unknown_time_step_and_names_stay_unknown(tmp_path: Path, form: tuple[str, str]) -> None:
    name, version = form
    changes = {"t_step_s": None, "channel_names": ("", ""), "sampling": None}
    write(tmp_path / name, MOVIE, version=version, **changes)
    series = read_image(tmp_path / name)
    assert (series.axes, series.t_step_s, series.channel_names) == ("TCZYX", None, ())
    assert (series.pixel_size_um, series.na, series.immersion_index) == (None, None, None)


@pytest.mark.parametrize("wavelengths_um", [(0.5145, None), (None, 0.7), (0.461, 0.6)])
def test_wavelengths_of_channels_come_back(
    tmp_path: Path, form: tuple[str, str], wavelengths_um: tuple[float | None, ...]
) -> None:
    name, version = form
    write(tmp_path / name, MOVIE, version=version, wavelengths_um=wavelengths_um)
    series = read_image(tmp_path / name)
    assert series.wavelengths_um == wavelengths_um
    for c in range(C):
        expected = WATER.model_copy(update={"wavelength_um": wavelengths_um[c]})
        assert series.sampling(c) == expected


@pytest.mark.parametrize(
    "sampling",
    [
        OIL,
        Sampling(pixel_size_um=0.325, na=0.75, immersion_index=1.0, wavelength_um=0.52),
        Sampling(pixel_size_um=0.2, na=1.3, immersion_index=1.406, wavelength_um=0.68),
        Sampling(pixel_size_um=0.2, na=0.3),
        Sampling(pixel_size_um=0.2, immersion_index=1.33),
        Sampling(pixel_size_um=0.2, wavelength_um=0.605),
        Sampling(pixel_size_um=0.2),
    ],
)
def test_the_sampling_comes_back(tmp_path: Path, form: tuple[str, str], sampling: Sampling) -> None:
    name, version = form
    write(tmp_path / name, MOVIE[:1, :1], version=version, sampling=sampling)
    assert read_image(tmp_path / name).sampling() == sampling
    if name.endswith("tif"):
        with tifffile.TiffFile(tmp_path / name) as tif:
            ome_types.from_xml(tif.ome_metadata, validate=True)


def test_reading_one_plane_of_a_tiff_movie_reads_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.ome.tif", MOVIE)
    read = []
    genuine = StoredFile.read

    def recorded(self: StoredFile, offset: int, **how: Any) -> Any:
        read.append(offset)
        return genuine(self, offset, **how)

    monkeypatch.setattr(StoredFile, "read", recorded)
    series = read_image(tmp_path / "a.ome.tif")
    assert read == []
    np.testing.assert_array_equal(series.plane(t=2, c=1, z=3), MOVIE[2, 1, 3])
    assert len(read) == 1


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_reading_one_plane_of_a_zarr_movie_reads_no_other(tmp_path: Path, version: str) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "a.ome.zarr"
    write(path, MOVIE, version=version)
    series = read_image(path)
    parts = [part for part in (path / "0").rglob("*") if part.name.isdecimal() and part.is_file()]
    assert len(parts) == T * C * Z
    for part in parts:
        if not part.as_posix().endswith("/2/1/3/0/0"):
            part.write_bytes(b"no pixels")
    np.testing.assert_array_equal(series.plane(t=2, c=1, z=3), MOVIE[2, 1, 3])
    with pytest.raises(ImageFileError, match="damaged or was cut short"):
        series.plane(t=2, c=1, z=2)


def test_planes_are_taken_one_by_one_and_at_most_two_are_alive(
    tmp_path: Path, form: tuple[str, str]
) -> None:
    class Plane(np.ndarray):
        __hash__ = object.__hash__  # type: ignore[assignment]

    alive: weakref.WeakSet[Plane] = weakref.WeakSet()
    most = []

    def planes() -> Iterator[np.ndarray]:
        for index in np.ndindex(T, C, Z):
            plane = Plane((Y, X), MOVIE.dtype)
            plane[...] = MOVIE[index]
            alive.add(plane)
            most.append(len(alive))
            yield plane
            del plane

    name, version = form
    write(tmp_path / name, MOVIE, planes(), version)
    assert (len(most), max(most)) == (T * C * Z, 2)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / name).data), MOVIE)


@pytest.mark.parametrize("taken", [0, Z, T * C * Z - 1, T * C * Z])
def test_a_movie_that_is_stopped_leaves_nothing(
    tmp_path: Path, form: tuple[str, str], taken: int
) -> None:
    def planes() -> Iterator[np.ndarray]:
        yield from MOVIE.reshape(-1, Y, X)[:taken]
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        write(tmp_path / form[0], MOVIE, planes(), form[1])
    assert list(tmp_path.iterdir()) == []


def test_a_frame_too_few(tmp_path: Path, form: tuple[str, str]) -> None:
    planes = MOVIE[:2].reshape(-1, Y, X)
    with pytest.raises(ValueError, match=r"was not written: only 16 of its 24 planes were made"):
        write(tmp_path / form[0], MOVIE, planes, form[1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("first", ["0.4", "0.5"])
@pytest.mark.parametrize("second", ["0.4", "0.5"])
def test_a_zarr_of_either_version_is_replaced(tmp_path: Path, first: str, second: str) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "a.ome.zarr"
    write(path, MOVIE, version=first)
    write(path, MOVIE + 1, version=second)
    np.testing.assert_array_equal(np.asarray(read_image(path).data), MOVIE + 1)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    (path / "notes.txt").write_text("three years of work")
    with pytest.raises(ValueError, match=r"holds 'notes.txt', which would be lost"):
        require_replaceable(path, PROVENANCE.kind)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t_count": 0}, "0 time points of 2 channels of 4 planes of shape .* cannot be written"),
        ({"t_step_s": 0.0}, "t_step_s is 0.0: it must be a positive number of s"),
        ({"wavelengths_um": (0.5,)}, "There are 2 channels, but 1 wavelengths for them"),
        ({"wavelengths_um": (0.5, 520.0)}, "'wavelength_um' of a sampling is 520"),
        ({"pixel_size_um": 0.1}, "Give either a sampling or a pixel size"),
        ({"ome_zarr_version": "0.3"}, "OME-Zarr of version 0.3 cannot be written: choose 0.5"),
    ],
)
def test_settings_that_make_no_series(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "a.ome.tif", MOVIE, **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_measured_movie_survives_with_its_optics(tmp_path: Path, form: tuple[str, str]) -> None:
    """As a program that crops a movie does: what was read can be written and is read again."""
    write(tmp_path / "first.ome.tif", MOVIE, wavelengths_um=(0.52, 0.6))
    first = read_image(tmp_path / "first.ome.tif")
    planes = (first.plane(t=t, c=c, z=z) for t, c, z in np.ndindex(T, C, Z))
    write(
        tmp_path / form[0],
        MOVIE,
        planes,
        form[1],
        sampling=first.sampling(),
        wavelengths_um=first.wavelengths_um,
        channel_names=first.channel_names,
        t_step_s=first.t_step_s,
        provenance=Provenance(kind="inferred"),
    )
    second = read_image(tmp_path / form[0])
    np.testing.assert_array_equal(np.asarray(second.data), MOVIE)
    for field in ("axes", "pixel_size_um", "z_step_um", "t_step_s", "channel_names", "na",
                  "immersion_index", "wavelengths_um"):  # fmt: skip
        assert getattr(second, field) == getattr(first, field)
