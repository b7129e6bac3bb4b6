import builtins
import json
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_deepz.images import ImageFileError
from napari_deepz.io import ome_zarr
from napari_deepz.io.reading import read_image
from tests.io.notes import noted
from tests.io.samples import STACK, write_zarr


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_zarr_versions(tmp_path: Path, version: str) -> None:
    data = np.arange(2 * 3 * 4 * 20 * 24, dtype=">u2").reshape(2, 3, 4, 20, 24)
    path = tmp_path / "my movie.ome.zarr"
    write_zarr(
        path, data, version, "tczyx", (2.0, 1.0, 500.0, 0.325, 0.325),
        ("minute", None, "nanometer", "micrometer", "micrometer"),
    )  # fmt: skip
    series = read_image(path)
    assert (series.axes, series.name) == ("TCZYX", "my movie")
    assert series.pixel_size_um == 0.325
    assert series.z_step_um == pytest.approx(0.5)
    assert series.t_step_s == 120.0
    assert isinstance(series.data, da.Array)
    plane = series.plane(t=1, c=2, z=3)
    np.testing.assert_array_equal(plane, data[1, 2, 3])
    assert plane.dtype.isnative


def test_zarr_scales_of_image_and_level_multiply(tmp_path: Path) -> None:
    write_zarr(
        tmp_path / "a.zarr", STACK, "0.5", "zyx", (1.0, 0.5, 0.5), ("micrometer",) * 3,
        multiscale_scale=[0.3, 0.2, 0.2],
    )  # fmt: skip
    series = read_image(tmp_path / "a.zarr")
    assert series.pixel_size_um == pytest.approx(0.1)
    assert series.z_step_um == pytest.approx(0.3)


def test_zarr_without_units_has_no_sizes(tmp_path: Path) -> None:
    write_zarr(tmp_path / "a.zarr", STACK[None], "0.5", "czyx", (1.0,) * 4, (None,) * 4)
    series = read_image(tmp_path / "a.zarr")
    assert (series.axes, series.pixel_size_um, series.z_step_um) == ("ZYX", None, None)


def test_zarr_with_space_axes_out_of_order(tmp_path: Path) -> None:
    write_zarr(tmp_path / "a.zarr", STACK, "0.5", "xzy", (0.1, 0.3, 0.1), ("micrometer",) * 3)
    series = read_image(tmp_path / "a.zarr")
    assert (series.pixel_size_um, series.z_step_um) == (0.1, 0.3)
    np.testing.assert_array_equal(series.stack(), STACK.transpose(1, 2, 0))


def test_zarr_of_bioformats2raw_opens_the_first_image(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "a.zarr"
    zarr.create_group(path, zarr_format=2, attributes={"bioformats2raw.layout": 3})
    write_zarr(path / "0", STACK, "0.4", "zyx", (0.3, 0.1, 0.1), ("micrometer",) * 3)
    np.testing.assert_array_equal(read_image(path).stack(), STACK)
    write_zarr(path / "1", STACK, "0.4", "zyx", (0.3, 0.1, 0.1), ("micrometer",) * 3)
    with noted("'a.zarr' holds several images"):
        assert read_image(path).z_step_um == 0.3


def test_zarr_plate_says_what_to_open(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    zarr.create_group(tmp_path / "a.zarr", attributes={"ome": {"version": "0.5", "plate": {}}})
    with pytest.raises(ImageFileError, match=r"'a.zarr' is a whole plate: open one of the images"):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ome": {"version": "0.5"}},
        {"ome": {"multiscales": []}},
        {"ome": {"multiscales": [{"axes": [{"name": "y"}], "datasets": [{"path": "0"}]}]}},
        {"ome": {"multiscales": [{"axes": "yx", "datasets": [{"path": "none"}]}]}},
        {"multiscales": "nonsense"},
    ],
)
def test_zarr_without_an_image(tmp_path: Path, attributes: dict[str, Any]) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    group = zarr.create_group(tmp_path / "a.zarr", attributes=attributes)
    group.create_array("0", data=STACK[0])
    with pytest.raises(ImageFileError, match=r"The folder 'a.zarr' is not an OME-Zarr image"):
        read_image(tmp_path / "a.zarr")
    with pytest.raises(ImageFileError, match="The folder '0' is not an OME-Zarr image"):
        read_image(tmp_path / "a.zarr" / "0")


def test_folder_that_is_no_zarr(tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    (tmp_path / "photos").mkdir()
    with pytest.raises(ImageFileError, match="The folder 'photos' is not an OME-Zarr image"):
        read_image(tmp_path / "photos")


class Trap:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.folder),))


@pytest.mark.parametrize(
    ("dtype", "filters", "compressor"),
    [
        ("|O", [{"id": "pickle"}], None),
        ("<f4", [{"id": "pickle"}], None),
        ("<f4", None, {"id": "pickle"}),
    ],
)
def test_pickled_pixels_are_never_opened(
    tmp_path: Path,
    dtype: str,
    filters: list[dict[str, Any]] | None,
    compressor: dict[str, Any] | None,
) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    array = tmp_path / "evil.zarr" / "0"
    array.mkdir(parents=True)
    multiscale = {
        "axes": [{"name": "y"}, {"name": "x"}],
        "datasets": [{"path": "0", "coordinateTransformations": []}],
    }
    (array.parent / ".zgroup").write_text('{"zarr_format": 2}')
    (array.parent / ".zattrs").write_text(json.dumps({"multiscales": [multiscale]}))
    about = {"zarr_format": 2, "shape": [4, 4], "chunks": [4, 4], "dtype": dtype, "order": "C"}
    about |= {"filters": filters, "compressor": compressor, "fill_value": 0}
    (array / ".zarray").write_text(json.dumps(about))
    (array / "0.0").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ImageFileError, match=r"'evil.zarr'"):
        read_image(array.parent)
    assert not (tmp_path / "sprung").exists()


def test_pickle_codecs_are_refused_whatever_zarr_thinks_of_them() -> None:
    about = {"filters": [{"id": "shuffle"}, {"id": "pickle"}], "compressor": None}
    array = SimpleNamespace(dtype=np.dtype("f4"), metadata=SimpleNamespace(to_dict=lambda: about))
    with pytest.raises(ImageFileError, match=r"'a.zarr' stores Python objects in place of pixels"):
        ome_zarr._require_no_pickle(array, Path("a.zarr"))


def test_without_zarr_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.ome.zarr").mkdir()
    original = builtins.__import__

    def without_zarr(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "zarr":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_zarr)
    with pytest.raises(ImageFileError, match=r"pip install 'napari-deepz\[zarr\]'"):
        read_image(tmp_path / "a.ome.zarr")
