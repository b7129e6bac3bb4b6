"""Neurons in files, read again by other programs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_deepz.neurons.activity import activity_of
from napari_deepz.neurons.editing import Neurons
from napari_deepz.neurons.saving import save_neurons
from napari_deepz.neurons.tables import COLUMNS, record_of, save_tracks
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.provenance import Provenance
from tests.neurons.test_footprints import DRY_20X

PLACES = np.array([[-3.0, 10.0, 20.0], [0.0, 12.0, 8.0], [4.0, 30.0, 0.2]])
TIMES = 40


@pytest.fixture
def found(rng: np.random.Generator) -> NeuronTraces:
    light = 500 + rng.normal(0, 3, (TIMES, 3))
    light[20:25, 1] += 400
    error = np.full(3, 3.0)
    neurons = Neurons.found(PLACES).without([1]).added(PLACES[0])
    tracks = np.repeat(neurons.places_um[None], TIMES, axis=0)
    return NeuronTraces(
        neurons,
        tracks,
        np.arange(TIMES) / 4,
        4.0,
        activity_of(light, error, 4.0),
        error,
        np.array([True, True, False]),
        Provenance(kind="inferred", input_name="worm.tif", sampling=DRY_20X, notes=("Say it.",)),
    )


def test_csv_and_parquet_say_the_same(found: NeuronTraces, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs napari-deepz[parquet]")
    for name in ("a.csv", "a.parquet"):
        save_neurons(found, tmp_path / name)
        save_neurons(found, tmp_path / name)  # A former one is replaced.
    table = parquet.read_table(tmp_path / "a.parquet")
    assert tuple(table.column_names) == COLUMNS
    record = Provenance.from_json(table.schema.metadata[b"napari-deepz"].decode())
    assert record == Provenance.from_json(record_of(tmp_path / "a.csv").read_text())
    assert record.notes == ("Say it.",)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == table.num_rows == 3 * TIMES
    for row, other in zip(rows, table.to_pylist(), strict=True):
        for name, value in other.items():
            if value is None:
                assert row[name] == ""
            elif isinstance(value, float):
                assert float(row[name]) == pytest.approx(value, rel=1e-4, abs=5e-4)
            else:
                assert row[name] == str(int(value) if isinstance(value, bool) else value)
    begins = [row["t_s"] for row in rows if row["event"]]
    assert begins == ["5"]
    assert {(row["id"], row["inferred"]) for row in rows} == {
        ("2", "position"),
        ("3", "position"),
        ("4", "nothing"),
    }


def test_tracks_are_those_that_napari_reads(found: NeuronTraces, tmp_path: Path) -> None:
    moving = found.tracks_um + np.arange(TIMES)[:, None, None] * [0, 0.1, 0]
    save_tracks(replace(found, tracks_um=moving), tmp_path / "tracks.csv")
    from napari.layers import Tracks

    given = np.loadtxt(tmp_path / "tracks.csv", delimiter=",", skiprows=1)
    layer = Tracks(given)
    assert set(layer.data[:, 0].astype(int)) == {2, 3, 4}
    last = layer.data[(layer.data[:, 0] == 4) & (layer.data[:, 1] == TIMES - 1)][0]
    np.testing.assert_allclose(last[2:], PLACES[0] + [0, 0.1 * (TIMES - 1), 0], atol=1e-3)


def test_nwb_is_valid_and_says_what_was_found(found: NeuronTraces, tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb", reason="needs napari-deepz[nwb]")
    path = tmp_path / "worm.nwb"
    save_neurons(found, path)
    save_neurons(found, path)
    assert pynwb.validate(path=str(path)) == []
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        module = io.read().processing["ophys"]
        planes = module["ImageSegmentation"]["PlaneSegmentation"]
        assert planes["neuron"][:].tolist() == [2, 3, 4]
        assert planes["separable"][:].tolist() == [True, True, False]
        grid = np.array(planes.imaging_plane.grid_spacing) * 1e6
        origin = np.array(planes.imaging_plane.origin_coords) * 1e6
        for row, place in enumerate(found.places_um):
            voxels = np.array([[x, y, z] for x, y, z, _ in planes["voxel_mask"][row]])
            centre = (voxels.mean(axis=0) * grid + origin)[::-1]
            np.testing.assert_allclose(centre, place, atol=0.5)
        series = module["Fluorescence"]["F"]
        assert (series.rate, series.unit) == (4.0, "counts")
        np.testing.assert_allclose(series.data[:], found.activity.light[:2].T)
        assert series.rois.data[:].tolist() == [0, 1]
        dff = module["DfOverF"]["DfOverF"].data[:]
        np.testing.assert_allclose(dff, found.activity.dff[:2].T)
        np.testing.assert_allclose(module["Tracks"].data[:], found.tracks_um)


def test_what_lies_in_the_way_stays(found: NeuronTraces, tmp_path: Path) -> None:
    pytest.importorskip("pynwb", reason="needs napari-deepz[nwb]")
    pytest.importorskip("pyarrow", reason="needs napari-deepz[parquet]")
    for name in ("a.csv", "a.parquet", "a.nwb", "b.json"):
        (tmp_path / name).write_text("mine")
    for name in ("a.csv", "a.parquet", "a.nwb", "b.csv"):
        with pytest.raises(ValueError, match="choose another output name"):
            save_neurons(found, tmp_path / name)
    with pytest.raises(ValueError, match="no table of tracks"):
        save_tracks(found, tmp_path / "a.csv")
    assert all(path.read_text() == "mine" for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match="say how many frames there are per second"):
        save_neurons(replace(found, rate_hz=None), tmp_path / "c.nwb")


def test_neurons_of_which_none_is_separable_are_written(
    found: NeuronTraces, tmp_path: Path
) -> None:
    pynwb = pytest.importorskip("pynwb", reason="needs napari-deepz[nwb]")
    save_neurons(replace(found, separable=np.zeros(3, bool)), tmp_path / "a.nwb")
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
