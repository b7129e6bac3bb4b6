"""Movies at the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_deepz import read_image
from napari_deepz.io.reading import read_provenance
from napari_deepz.samples import WORM
from napari_deepz.training.movies.files import EVERYTHING
from napari_deepz.training.movies.simulation import simulate_movie
from tests.cli.conftest import Run


def test_movies_are_written_with_their_truth(deepz: Run, tmp_path: Path) -> None:
    options = ("--kind=movie", "--count=2", "--size=64", "--frames=3", "--planes=-2,2")
    deepz("simulate", "movies", *options, cwd=tmp_path)
    folder = tmp_path / "movies"
    assert sorted(path.name for path in folder.iterdir()) == [
        "0000_sparse_movie.json",
        "0000_sparse_movie.ome.tif",
        "0001_head_movie.json",
        "0001_head_movie.ome.tif",
    ]
    series = read_image(folder / "0001_head_movie.ome.tif")
    assert (series.axes, series.z_step_um, series.t_step_s) == ("TZYX", 4.0, 0.25)
    sampling = series.sampling()
    assert sampling is not None
    assert (sampling.na, sampling.immersion_index) == (0.75, 1.0)
    truth = json.loads((folder / "0001_head_movie.json").read_text())
    expected = simulate_movie(
        "head", replace(EVERYTHING, size_px=64, frames=3, planes_um=(-2.0, 2.0)), 0
    )
    np.testing.assert_array_equal(np.asarray(series.data), expected.measured)
    np.testing.assert_allclose(truth["places_z_y_x_um"], expected.places_um, atol=1e-3)
    np.testing.assert_allclose(truth["dff"], expected.dff, atol=1e-4)


def test_neurons_of_a_movie_go_into_a_table(deepz: Run, tmp_path: Path) -> None:
    options = ("--kind=movie", "--size=96", "--frames=6")
    deepz("simulate", "movies", *options, cwd=tmp_path)
    movie = "movies/0000_sparse_movie.ome.tif"
    said = deepz("neurons", movie, "traces.csv", "--offset=100", cwd=tmp_path)
    assert "separable, in 6 frames." in said.stdout
    assert "the light is measured on the frames" in said.stdout.replace("\n", " ")
    rows = (tmp_path / "traces.csv").read_text().splitlines()
    assert rows[0] == "id,t_s,z_um,y_um,x_um,f,f0,dff,event,separable,inferred"
    assert (len(rows) - 1) % 6 == 0
    for wrong, words in (
        ((movie, "traces.txt"), "let the name end with .csv, .parquet or .nwb"),
        ((movie, "traces.csv", "--at=0,3"), "it has 1 planes, and there are 2 depths"),
        ((movie, "traces.csv", "--at=up"), "depths in µm such as -3,3, not 'up'"),
        ((str(WORM), "traces.csv"), "is no movie but a focal stack of 21 planes, 1 µm apart"),
        (("none.tif", "traces.csv"), "There is no file"),
    ):
        refused = deepz("neurons", *wrong, cwd=tmp_path, check=False)
        assert words in refused.stderr.replace("\n", " ")


def test_a_movie_becomes_three_dimensional(deepz: Run, tmp_path: Path) -> None:
    deepz("simulate", "movies", "--kind=movie", "--size=64", "--frames=4", cwd=tmp_path)
    movie = "movies/0000_sparse_movie.ome.tif"
    said = deepz("movie", movie, "out.ome.zarr", "--z=-4:4:2", cwd=tmp_path)
    assert "4 frames, 5 planes each: widefield-20x on " in said.stdout
    result = read_image(tmp_path / "out.ome.zarr")
    assert (result.axes, result.data.shape) == ("TZYX", (4, 5, 64, 64))
    record = read_provenance(tmp_path / "out.ome.zarr")
    assert record is not None
    again = str(record.command).split()[1:]
    again[again.index("out.ome.zarr")] = "again.ome.zarr"
    deepz(*again, cwd=tmp_path)
    np.testing.assert_array_equal(read_image(tmp_path / "again.ome.zarr").data, result.data)
    for wrong, words in (
        (("out.ome.zarr",), "Name the movie and the result"),
        ((movie, "out.tif", "--z=0"), "let the name end with .ome.zarr"),
        ((movie, "a.zarr"), "Say where to refocus"),
        ((movie, "a.zarr", "--z=0", "--motion=fast"), "takes 'none' or 'shift', not 'fast'"),
        ((movie, "a.zarr", "--z=0", "--at=3"), "that is alone is where depths count from"),
        ((movie, "a.zarr", "--z=0", "--rate=-1"), "frames per second"),
        (("out.ome.zarr", "a.zarr", "--z=0"), "was inferred, not measured"),
        ((movie, "out.ome.zarr", "--z=0"), "holds a movie made otherwise"),
    ):
        refused = deepz("movie", *wrong, cwd=tmp_path, check=False)
        assert words in refused.stderr.replace("\n", " ")
    assert not (tmp_path / "a.zarr").exists()


def test_neurons_of_a_3d_movie_are_measured_on_its_frames(deepz: Run, tmp_path: Path) -> None:
    deepz("simulate", "movies", "--kind=movie", "--size=96", "--frames=8", cwd=tmp_path)
    movie = "movies/0000_sparse_movie.ome.tif"
    deepz("movie", movie, "out.ome.zarr", "--z=-8:8:1", "--motion=shift", cwd=tmp_path)
    deepz("neurons", "out.ome.zarr", "a.csv", "--tracks=tracks.csv", cwd=tmp_path)
    deepz("neurons", movie, "b.csv", "--motion=shift", cwd=tmp_path)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    tracks = (tmp_path / "tracks.csv").read_text().splitlines()
    assert tracks[0] == "track_id,t,z,y,x"
    assert len(tracks) == len((tmp_path / "a.csv").read_text().splitlines())
    said = deepz("neurons", "out.ome.zarr", "c.csv", "--light=virtual", cwd=tmp_path)
    assert "Positions and light are both inferred" in said.stdout.replace("\n", " ")
    assert (tmp_path / "c.csv").read_text().splitlines()[1].endswith("position and light")
    refused = deepz("neurons", movie, "d.csv", "--light=virtual", cwd=tmp_path, check=False)
    assert "has no virtual planes" in refused.stderr.replace("\n", " ")
    (tmp_path / movie).rename(tmp_path / "0000_sparse_movie.ome.tif")
    deepz("neurons", "out.ome.zarr", "e.csv", cwd=tmp_path)
    (tmp_path / "0000_sparse_movie.ome.tif").unlink()
    refused = deepz("neurons", "out.ome.zarr", "f.csv", cwd=tmp_path, check=False)
    assert "neither where it was nor beside" in refused.stderr.replace("\n", " ")
