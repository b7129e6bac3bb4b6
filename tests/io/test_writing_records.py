"""Records that are only known when the last plane was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile

from napari_deepz.io import ome_tiff
from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.provenance import Provenance
from tests.io.stacks import BOTH, PROVENANCE, STACK, write


class Run:
    """Makes planes, and notes on the way."""

    def __init__(self, note: str) -> None:
        self.note = note
        self.notes: list[str] = []
        self.made_when_asked: list[int] = []
        self.made = 0

    def planes(self) -> Iterator[np.ndarray]:
        for plane in STACK:
            self.made += 1
            yield plane
        self.notes.append(self.note)

    def record(self) -> Provenance:
        self.made_when_asked.append(self.made)
        return PROVENANCE.model_copy(update={"notes": tuple(self.notes)})


@pytest.fixture(autouse=True)
def _zarr(request: pytest.FixtureRequest) -> None:
    if "name" in request.fixturenames and "zarr" in request.getfixturevalue("name"):
        pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("note", ["short", "µ <long> & " * 5000])
def test_notes_that_arise_with_the_last_plane_are_in_the_file(
    tmp_path: Path, name: str, note: str, version: str
) -> None:
    run = Run(note)
    path = tmp_path / name
    write(path, run.planes(), provenance=run.record, ome_zarr_version=version)
    record = read_provenance(path)
    assert record is not None
    assert record.notes == (note,)
    assert run.made_when_asked == [0, len(STACK)]
    np.testing.assert_array_equal(read_image(path).stack(), STACK)


@pytest.mark.parametrize("big", [False, True])
def test_independent_readers_find_the_last_record_in_a_tiff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, big: bool
) -> None:
    if big:
        monkeypatch.setattr(ome_tiff, "_LARGEST_CLASSIC_TIFF_BYTES", 1)
    run = Run("smaller tiles were used " * 1000)
    path = tmp_path / "stack.ome.tif"
    write(path, run.planes(), provenance=run.record)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_bigtiff == big
        assert (len(tif.pages), tif.series[0].axes) == (len(STACK), "ZYX")
        np.testing.assert_array_equal(tif.asarray(), STACK)
        described = [270 in page.aspage().tags for page in tif.pages[1:]]
        assert not any(described)
        ome = ome_types.from_xml(tif.ome_metadata, validate=True)
    (annotation,) = ome.structured_annotations.map_annotations
    assert Provenance.from_json(dict(annotation.value)["provenance"]) == run.record()
    assert run.note.strip() in (ome.images[0].description or "")


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_independent_readers_find_the_last_record_in_a_zarr(tmp_path: Path, version: str) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    yaozarrs = pytest.importorskip("yaozarrs", reason="reads OME-Zarr independently")
    run = Run("smaller tiles were used")
    path = tmp_path / "stack.ome.zarr"
    write(path, run.planes(), provenance=run.record, ome_zarr_version=version)
    yaozarrs.validate_zarr_store(path)
    ours = zarr.open_group(path, mode="r").attrs["napari-deepz"]
    assert Provenance.model_validate(ours["provenance"]) == run.record()
    assert "Note: smaller tiles were used" in ours["description"]


@pytest.mark.parametrize("name", BOTH)
def test_a_record_that_cannot_be_made_leaves_nothing(tmp_path: Path, name: str) -> None:
    asked = []

    def record() -> Provenance:
        asked.append(1)
        if len(asked) > 1:
            raise RuntimeError("no record")
        return PROVENANCE

    with pytest.raises(RuntimeError, match="no record"):
        write(tmp_path / name, provenance=record)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", BOTH)
def test_what_the_record_says_first_decides_what_is_replaced(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, provenance=Provenance(kind="simulated"))
    run = Run("")
    with pytest.raises(ValueError, match="holds a simulated stack, which would be lost"):
        write(tmp_path / name, run.planes(), provenance=run.record)
    assert run.made == 0
