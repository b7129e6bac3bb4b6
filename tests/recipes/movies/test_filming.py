"""3D movies: the pixels of their frames, and what a run that ended early leaves."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from filelock import FileLock

from napari_deepz import EncodedImage, EncodedPlanes, load_model, read_image
from napari_deepz.engine.compute import Compute
from napari_deepz.io.movie_frames import FRAMES
from napari_deepz.io.reading import read_provenance
from napari_deepz.io.writing import write_stack
from napari_deepz.movies.brightness import measure_brightness
from napari_deepz.movies.movie import Movie
from napari_deepz.provenance import Provenance
from napari_deepz.recipes.again import recipe_of
from napari_deepz.recipes.movies.cooking import MovieCooking
from napari_deepz.recipes.movies.recipe import MovieRecipe
from napari_deepz.recipes.movies.saving import film
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, OverTime, Tilted
from napari_deepz.training.movies.scene import MovieSettings
from napari_deepz.training.movies.simulation import simulate_movie
from napari_deepz.watch import Cancelled, Progress, Watch
from tests.conftest import write_tiny_model

SAMPLING = Sampling(pixel_size_um=0.325)
SCENE = MovieSettings(size_px=96, frames=9, bleached_to=0.6, photons=2000)
STACK = Flat(-4, 4, 2)


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    return str(write_tiny_model(tmp_path / "tiny"))


def written(folder: Path, settings: MovieSettings = SCENE, **more: Any) -> Path:
    """A movie as a file."""
    path = folder / "worm.ome.tif"
    frames = simulate_movie("sparse", settings, 3).measured
    write_stack(
        path,
        iter(frames.reshape(-1, *frames.shape[2:])),
        count=frames.shape[1],
        shape=frames.shape[2:],
        dtype=frames.dtype,
        sampling=SAMPLING,
        z_step_um=6.0 if frames.shape[1] > 1 else None,
        z_start_um=None,
        name="worm",
        provenance=Provenance(kind="simulated"),
        t_count=len(frames),
        t_step_s=0.25,
        **more,
    )
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """All files, without when they were made and what they are called."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path == folder / "zarr.json":
                about = json.loads(data)
                record = about["attributes"]["napari-deepz"]
                record["description"] = ""
                record["provenance"] |= {"created": "", "command": ""}
                data = json.dumps(about).encode()
            found[str(path.relative_to(folder))] = data
    return found


def test_each_frame_has_the_pixels_of_refocusing_it(tiny: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    recipe = MovieRecipe(paths=path, surfaces=STACK, model=tiny)
    result = read_image(film(recipe, tmp_path / "out.ome.zarr"))
    assert (result.axes, result.data.shape) == ("TZYX", (9, 5, 96, 96))
    assert result.data.dtype == np.dtype("f4")
    assert (result.z_step_um, result.z_start_um, result.t_step_s) == (2, -4, 0.25)
    assert result.notes == ()
    series = read_image(path)
    light = measure_brightness(Movie.of(series, SAMPLING))
    typical = EncodedImage(light.typical[0], load_model(tiny), sampling=SAMPLING)
    for t in (0, 5, 8):
        intensity = typical.intensity.at_light(float(light.relative[t]), light.offset)
        alone = EncodedImage(
            series.plane(t=t), load_model(tiny), sampling=SAMPLING, intensity=intensity
        )
        expected = alone.refocus(STACK).data
        array = zarr.open_group(str(tmp_path / "out.ome.zarr"), mode="r")["0"]
        scale, offset = (float(array.attrs[name]) for name in ("scale_factor", "add_offset"))
        assert scale < 0.002 * np.ptp(expected)
        np.testing.assert_allclose(result.stack(t=t), expected, atol=0.51 * scale)
        np.testing.assert_array_equal(result.stack(t=t), array[t] * np.float32(scale) + offset)


def test_frames_by_themselves_are_those_of_any_single_image(tiny: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    recipe = MovieRecipe(
        paths=path, surfaces=STACK, model=tiny, brightness="each frame", pixels="float32"
    )
    result = read_image(film(recipe, tmp_path / "out.zarr"))
    frame = read_image(path).plane(t=7)
    expected = EncodedImage(frame, load_model(tiny), sampling=SAMPLING).refocus(STACK).data
    np.testing.assert_allclose(result.stack(t=7), expected, rtol=1e-4, atol=0.05)


def test_a_surface_that_moves_is_at_each_frame_where_it_lies_then(
    tiny: str, tmp_path: Path
) -> None:
    over = OverTime(frames=(0, 8), surfaces=(Tilted(1, 0, 0), Tilted(-3, 2, 4)))
    recipe = MovieRecipe(paths=written(tmp_path), surfaces=over, model=tiny, pixels="float32")
    result = read_image(film(recipe, tmp_path / "out.zarr"))
    assert result.z_step_um is None
    fixed = MovieCooking(recipe.model_copy(update={"surfaces": (Tilted(-1, 1, 2),)}))
    (expected,) = fixed.planes(4)
    np.testing.assert_allclose(result.stack(t=4)[0], expected.data, rtol=1e-5, atol=0.01)


def test_movies_of_two_planes_of_one_file_or_two(tmp_path: Path) -> None:
    settings = replace(SCENE, planes_um=(-3.0, 3.0), frames=4)
    path = written(tmp_path, settings)
    series = read_image(path)
    each = []
    for z in (0, 1):
        each.append(tmp_path / f"plane{z}.ome.tif")
        write_stack(
            each[-1],
            [series.plane(t=t, z=z) for t in range(4)],
            count=1,
            shape=(96, 96),
            dtype="uint16",
            sampling=SAMPLING,
            z_step_um=None,
            z_start_um=None,
            name="plane",
            provenance=Provenance(kind="simulated"),
            t_count=4,
        )
    one = MovieRecipe(paths=path, surfaces=Flat(0, 6, 3), model="widefield-20x", pixels="float32")
    film(one, tmp_path / "one.zarr")
    two = one.model_copy(update={"paths": tuple(map(str, each)), "at_um": (0.0, 6.0)})
    film(two, tmp_path / "two.zarr")
    results = [read_image(tmp_path / f"{name}.zarr") for name in ("one", "two")]
    np.testing.assert_allclose(results[0].stack(t=2), results[1].stack(t=2), rtol=1e-5, atol=0.01)
    typical = EncodedPlanes(
        list(measure_brightness(Movie.of(series, SAMPLING)).typical),
        (0, 6),
        load_model("widefield-20x"),
        sampling=SAMPLING,
    )
    frame = typical.for_frame([series.plane(t=2, z=z) for z in (0, 1)], None)
    alike = np.corrcoef(frame.refocus(Flat(3)).data.ravel(), results[0].stack(t=2)[1].ravel())
    assert alike[0, 1] > 0.999
    record = read_provenance(tmp_path / "two.zarr")
    assert record is not None
    assert record.further_inputs == ("plane1.ome.tif, at 6 µm",)
    with pytest.raises(ValueError, match="Say where each of the 2 movies was taken"):
        MovieRecipe(paths=tuple(map(str, each)), surfaces=STACK)


def test_a_run_that_was_cancelled_is_gone_on_with(tiny: str, tmp_path: Path) -> None:
    recipe = MovieRecipe(paths=written(tmp_path), surfaces=STACK, model=tiny)
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    film(recipe, whole)
    told: list[Progress] = []
    cooking = MovieCooking(recipe)
    with pytest.raises(Cancelled):
        film(cooking, out, watch=Watch(lambda: len(told) > 3, told.append))
    partly = read_image(out)
    (said,) = partly.notes
    assert said.startswith("'out.zarr' is unfinished: ")
    assert "of 9 time points are there" in said
    there = [json.loads(line)["t"] for line in (out / FRAMES).read_text().splitlines()]
    assert 3 <= len(there) < 9
    for t in there:
        np.testing.assert_array_equal(partly.stack(t=t), read_image(whole).stack(t=t))
    begun: list[int] = []
    film(cooking, out, watch=Watch(on_progress=lambda one: begun.append(one.done)))
    assert begun[0] == len(there)
    assert contents(out) == contents(whole)
    film(recipe, out)  # What is complete is left as it is.
    assert contents(out) == contents(whole)


_FILM = """
import sys
from napari_deepz.recipes.movies.recipe import MovieRecipe
from napari_deepz.recipes.movies.saving import film
from napari_deepz.surfaces import Flat
print("ready", flush=True)
film(MovieRecipe(paths=sys.argv[1], surfaces=Flat(-4, 4, 2), model=sys.argv[2]), sys.argv[3])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_killed_runs_end_with_the_bytes_of_one_that_was_not(tiny: str, tmp_path: Path) -> None:
    path = written(tmp_path, replace(SCENE, frames=60))
    film(MovieRecipe(paths=path, surfaces=STACK, model=tiny), tmp_path / "whole.zarr")
    out = tmp_path / "out.zarr"
    marks = out / FRAMES
    for wanted in (1, 12, 31, 50):
        run = subprocess.Popen([sys.executable, "-c", _FILM, str(path), tiny, str(out)])
        while run.poll() is None and (
            not marks.exists() or marks.read_bytes().count(b"\n") < wanted
        ):
            time.sleep(0.001)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    with marks.open("a") as file:
        file.write('{"t": 59, "low"')  # As a kill in the middle of a line leaves it.
    (out / "0" / "c" / "0" / "0" / "0" / "0.f00.partial").write_bytes(b"cut")
    film(MovieRecipe(paths=path, surfaces=STACK, model=tiny), out)
    assert contents(out) == contents(tmp_path / "whole.zarr")


def test_what_may_not_be_gone_on_with_is_refused(tiny: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    recipe = MovieRecipe(paths=path, surfaces=STACK, model=tiny)
    out = film(recipe, tmp_path / "out.zarr")
    before = contents(out)
    for changed in ({"surfaces": (Flat(0, 4, 1),)}, {"brightness": "each frame"}):
        named = f"made otherwise \\(its setting '{next(iter(changed))}' is"
        with pytest.raises(ValueError, match=named):
            film(recipe.model_copy(update=changed), out)
    assert contents(out) == before
    (tmp_path / "notes.zarr").mkdir()
    (tmp_path / "notes.zarr" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="was not made by napari-deepz"):
        film(recipe, tmp_path / "notes.zarr")
    with pytest.raises(ValueError, match=r"let the name end with \.ome\.zarr"):
        film(recipe, tmp_path / "out.ome.tif")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        film(recipe, tmp_path / "none" / "out.zarr")
    with pytest.raises(ValueError, match="is a movie: make it again"):
        recipe_of(out)


def test_two_processes_do_not_write_one_movie(tiny: str, tmp_path: Path) -> None:
    recipe = MovieRecipe(paths=written(tmp_path), surfaces=STACK, model=tiny)
    out = tmp_path / "out.zarr"
    cooking = MovieCooking(recipe)
    begun: list[Progress] = []
    with pytest.raises(Cancelled):
        film(cooking, out, watch=Watch(lambda: len(begun) > 2, begun.append))
    with (
        FileLock(out / "napari-deepz-lock"),
        pytest.raises(ValueError, match="is being written by another process"),
    ):
        film(cooking, out)
    assert film(cooking, out) == out
    assert not (out / "napari-deepz-lock").exists()


def test_a_full_disk_leaves_a_movie_to_go_on_with(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = MovieRecipe(paths=written(tmp_path), surfaces=STACK, model=tiny)
    write = Path.write_bytes
    room = iter(range(4))

    def full(path: Path, data: bytes) -> int:
        if path.suffix == ".partial" and next(room, None) is None:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    out = tmp_path / "out.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=r"make room .* Run the same again to go on with it"):
            film(recipe, out)
    film(recipe, out)
    film(recipe, tmp_path / "whole.zarr")
    assert contents(out) == contents(tmp_path / "whole.zarr")


def test_large_frames_are_stored_plane_by_plane(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = MovieRecipe(paths=written(tmp_path), surfaces=STACK, model=tiny)
    film(recipe, tmp_path / "together.zarr")
    monkeypatch.setattr("napari_deepz.io.movie_store._MOST_CHUNK_BYTES", 1000)
    film(recipe, tmp_path / "each.zarr")
    one, other = (
        zarr.open_group(str(tmp_path / f"{name}.zarr"), mode="r")["0"]
        for name in ("together", "each")
    )
    assert (one.chunks, other.chunks) == ((1, 5, 96, 96), (1, 1, 96, 96))
    np.testing.assert_array_equal(one[:], other[:])


def test_frames_are_moved_to_where_most_of_them_are(tiny: str, tmp_path: Path) -> None:
    settings = replace(SCENE, size_px=128, frames=12, motion_um=1.0, silent=1.0)
    path = written(tmp_path, settings)
    recipe = MovieRecipe(paths=path, surfaces=Flat(0), model=tiny, motion="shift")
    out = film(recipe, tmp_path / "out.zarr")
    record = read_provenance(out)
    assert record is not None
    assert record.frames is not None
    truth = simulate_movie("sparse", settings, 3).places_um[:, 0, 1:] / 0.325
    found = -np.array(record.frames["shift_y_x_px"])
    off = found - found.mean(axis=0) - (truth - truth.mean(axis=0))
    assert np.sqrt((off**2).mean()) < 0.3
    moved = MovieCooking(recipe)
    inside = np.s_[:, 30:-30, 30:-30]
    first, last = (moved.measured(t)[inside] for t in (0, 11))
    assert np.corrcoef(first.ravel(), last.ravel())[0, 1] > 0.9


def test_what_is_found_of_the_frames_is_recorded(tiny: str, tmp_path: Path) -> None:
    compute = Compute(device="cpu", precision="bfloat16")
    recipe = MovieRecipe(paths=written(tmp_path), surfaces=STACK, model=tiny, compute=compute)
    record = read_provenance(film(recipe, tmp_path / "out.zarr"))
    assert record is not None
    assert record.kind == "inferred"
    assert record.frames is not None
    found = np.array(record.frames["brightness"])
    np.testing.assert_allclose(found / found[0], 0.6 ** (np.arange(9) / 8), atol=0.03)
    assert record.recipe is not None
    assert record.recipe["compute"]["precision"] == "bfloat16"
    assert record.axial_range_um == (-4, 4)


def test_what_is_noticed_of_single_frames_names_them(tiny: str, tmp_path: Path) -> None:
    path = tmp_path / "dark.ome.tif"
    frames = simulate_movie("sparse", SCENE, 3).measured[:, 0].copy()
    frames[[2, 5]] = 7
    write_stack(
        path,
        frames,
        count=1,
        shape=frames.shape[1:],
        dtype="uint16",
        sampling=SAMPLING,
        z_step_um=None,
        z_start_um=None,
        name="dark",
        provenance=Provenance(kind="measured"),
        t_count=len(frames),
    )
    out = film(MovieRecipe(paths=path, surfaces=STACK, model=tiny), tmp_path / "out.zarr")
    record = read_provenance(out)
    assert record is not None
    (said,) = [note for note in record.notes if note.startswith("Frame")]
    assert said.startswith("Frame 2 and 1 more: All pixels of the image have the same value, 7")
    assert np.ptp(read_image(out).stack(t=5)) == 0
