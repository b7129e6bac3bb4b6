import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ome_types
import pytest
import tifffile

from napari_deepz.io import ome_tiff
from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.provenance import Provenance
from tests.conftest import shared_file
from tests.io.stacks import BOTH, PROVENANCE, STACK, write

NAMES = ["stack.ome.tif", "stack µm 2.TIF", "stack.tiff", "stack.ome.zarr", "my stack.zarr"]


@pytest.fixture(autouse=True)
def _zarr(request: pytest.FixtureRequest) -> None:
    if "name" in request.fixturenames and "zarr" in request.getfixturevalue("name"):
        pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(tmp_path: Path, name: Any) -> None:
    write(tmp_path / name)
    series = read_image(tmp_path / name)
    assert (series.axes, series.pixel_size_um, series.z_step_um) == ("ZYX", 0.325, 0.5)
    np.testing.assert_array_equal(series.stack(), STACK)
    assert series.data.dtype == np.float32
    assert read_provenance(tmp_path / name) == PROVENANCE
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", ">u2"]
)
def test_every_type_is_kept(tmp_path: Path, name: Any, dtype: str) -> None:
    data = (STACK - STACK.min()).astype(dtype)
    write(tmp_path / name, data, dtype=dtype)
    series = read_image(tmp_path / name)
    assert series.data.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(series.stack(), data)


@pytest.mark.parametrize("name", BOTH)
def test_a_measured_stack_survives_unchanged(tmp_path: Path, name: Any) -> None:
    measured = read_image(shared_file("data/bead_na085.ome.tif"))
    write(
        tmp_path / name,
        (measured.plane(z=z) for z in range(measured.size("Z"))),
        count=25,
        shape=(256, 256),
        dtype="uint16",
        pixel_size_um=measured.pixel_size_um,
        z_step_um=measured.z_step_um,
        z_start_um=-3.6,
        provenance=Provenance(kind="measured"),
    )
    copy = read_image(tmp_path / name)
    assert (copy.pixel_size_um, copy.z_step_um) == (0.13, 0.3)
    np.testing.assert_array_equal(copy.stack(), measured.stack())


def test_ome_tiff_for_independent_readers(tmp_path: Path) -> None:
    path = tmp_path / "stack.ome.tif"
    write(path, name='Würmer & "Co" \x01')
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert not tif.is_bigtiff
        assert (tif.series[0].axes, tif.series[0].shape) == ("ZYX", STACK.shape)
        np.testing.assert_array_equal(tif.asarray(), STACK)
        assert len(tif.pages) == 6
        assert tif.pages[0].resolution == pytest.approx((10000 / 0.325,) * 2)
        xml = tif.ome_metadata
    ome = ome_types.from_xml(xml, validate=True)
    image = ome.images[0]
    pixels = image.pixels
    assert [getattr(pixels, f"physical_size_{axis}") for axis in "xyz"] == [0.325, 0.325, 0.5]
    assert [getattr(pixels, f"physical_size_{axis}_unit").value for axis in "xyz"] == ["µm"] * 3
    assert (pixels.size_z, pixels.size_c, pixels.size_t, pixels.type.value) == (6, 1, 1, "float")
    assert [plane.position_z for plane in pixels.planes] == [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
    assert {plane.position_z_unit.value for plane in pixels.planes} == {"µm"}
    assert image.name == pixels.channels[0].name == 'Würmer & "Co" ?'
    description = image.description or ""
    assert description.startswith("INFERRED by a neural network")
    assert "Model worm-20x 1.0." in description
    assert "Surface flat (start_um -1.0, stop_um 1.5, step_um 0.5)." in description
    (annotation,) = ome.structured_annotations.map_annotations
    assert image.annotation_refs[0].id == annotation.id
    assert Provenance.from_json(dict(annotation.value)["provenance"]) == PROVENANCE


def test_ome_zarr_for_independent_readers(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    yaozarrs = pytest.importorskip("yaozarrs", reason="reads OME-Zarr independently")
    path = tmp_path / "stack.ome.zarr"
    write(path, name="Würmer")
    yaozarrs.validate_zarr_store(path)
    multiscale = yaozarrs.open_group(path).ome_metadata().multiscales[0]
    assert multiscale.name == "Würmer"
    assert [(a.name, a.type, a.unit) for a in multiscale.axes] == [
        (axis, "space", "micrometer") for axis in "zyx"
    ]
    scale, translation = multiscale.datasets[0].coordinateTransformations
    assert scale.scale == [0.5, 0.325, 0.325]
    assert translation.translation == [-1.0, 0.0, 0.0]
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == 3
    np.testing.assert_array_equal(group["0"][:], STACK)
    assert group["0"].chunks == (1, 32, 44)
    ours = group.attrs["napari-deepz"]
    assert Provenance.model_validate(ours["provenance"]) == PROVENANCE
    assert ours["description"].startswith("INFERRED")
    assert ours["z_um"] == [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize("name", BOTH)
def test_unknown_sizes_stay_unknown(tmp_path: Path, name: Any) -> None:
    write(tmp_path / name, pixel_size_um=None, z_step_um=None, z_start_um=None)
    series = read_image(tmp_path / name)
    assert (series.pixel_size_um, series.z_step_um) == (None, None)
    if name.endswith("zarr"):
        pytest.importorskip("yaozarrs", reason="reads OME-Zarr independently").validate_zarr_store(
            tmp_path / name
        )
    else:
        with tifffile.TiffFile(tmp_path / name) as tif:
            pixels = ome_types.from_xml(tif.ome_metadata, validate=True).images[0].pixels
        assert (pixels.physical_size_x, pixels.physical_size_z) == (None, None)
        assert all(plane.position_z is None for plane in pixels.planes)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("shape", [(32, 44), (37, 3), (1, 1)])
def test_one_plane(tmp_path: Path, name: Any, shape: tuple[int, ...]) -> None:
    plane = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    write(tmp_path / name, [plane], count=1, shape=shape, z_step_um=None, z_start_um=3.0)
    series = read_image(tmp_path / name)
    assert (series.axes, series.pixel_size_um, series.z_step_um) == ("YX", 0.325, None)
    np.testing.assert_array_equal(series.plane(), plane)
    if name.endswith("tif"):
        with tifffile.TiffFile(tmp_path / name) as tif:
            pixels = ome_types.from_xml(tif.ome_metadata, validate=True).images[0].pixels
        assert pixels.planes[0].position_z == 3.0


@pytest.mark.parametrize("name", BOTH)
def test_planes_wider_than_a_chunk(tmp_path: Path, name: Any) -> None:
    planes = np.arange(2 * 1100 * 1030, dtype=np.uint32).reshape(2, 1100, 1030)
    write(tmp_path / name, planes, count=2, shape=(1100, 1030), dtype="uint32")
    np.testing.assert_array_equal(read_image(tmp_path / name).stack(), planes)


def test_bigtiff_where_offsets_would_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ome_tiff, "_LARGEST_CLASSIC_TIFF_BYTES", STACK.nbytes - 1)
    write(tmp_path / "stack.ome.tif")
    with tifffile.TiffFile(tmp_path / "stack.ome.tif") as tif:
        assert tif.is_bigtiff
    np.testing.assert_array_equal(read_image(tmp_path / "stack.ome.tif").stack(), STACK)


def test_classic_tiff_ends_below_four_gib() -> None:
    assert 2**31 < ome_tiff._LARGEST_CLASSIC_TIFF_BYTES < 2**32


@pytest.mark.parametrize("name", BOTH)
def test_floats_of_other_precision_and_views_are_converted(tmp_path: Path, name: Any) -> None:
    planes = [plane.T.astype(">f8").T for plane in STACK]
    write(tmp_path / name, planes)
    np.testing.assert_array_equal(read_image(tmp_path / name).stack(), STACK)


@pytest.mark.parametrize("name", BOTH)
def test_small_integers_fit_into_floats(tmp_path: Path, name: Any) -> None:
    write(tmp_path / name, STACK.astype(np.uint16))
    np.testing.assert_array_equal(read_image(tmp_path / name).stack(), STACK.astype(np.uint16))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_at_most_two_planes_are_alive(tmp_path: Path, name: Any, dtype: str) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most: list[int] = []

    class Plane(np.ndarray):
        __hash__ = object.__hash__  # type: ignore[assignment]

    def planes() -> Iterator[Plane]:
        for index in range(20):
            plane = Plane((64, 64), dtype)
            plane.fill(index)
            alive.add(plane)
            most.append(len(alive))
            yield plane
            del plane

    write(tmp_path / name, planes(), count=20, shape=(64, 64))
    assert len(most) == 20
    assert max(most) <= 2


@pytest.mark.parametrize("name", BOTH)
def test_memory_does_not_grow_with_the_stack(tmp_path: Path, name: Any) -> None:
    write(tmp_path / name)  # imports and caches of the libraries are not what is measured
    planes = (np.full((512, 512), z, np.float32) for z in range(40))
    tracemalloc.start()
    write(tmp_path / name, planes, count=40, shape=(512, 512))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    plane_bytes = 512 * 512 * 4
    assert peak_bytes < 8 * plane_bytes


@pytest.mark.parametrize("name", BOTH)
def test_planes_are_taken_one_by_one_and_exactly_as_many(tmp_path: Path, name: Any) -> None:
    taken = []

    def each() -> Iterator[np.ndarray]:
        for z in range(6):
            taken.append(z)
            yield STACK[z]

    planes = each()
    write(tmp_path / name, planes)
    assert taken == list(range(6))
    assert next(planes, "exhausted") == "exhausted"
