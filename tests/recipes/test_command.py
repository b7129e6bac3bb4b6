"""A recipe as a command and as a script."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import napari_deepz as dz
from napari_deepz.engine.compute import Compute
from napari_deepz.recipes.command import command_of, quoted, script_of
from napari_deepz.recipes.recipe import Recipe, Source
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import (
    AlongPath,
    Curved,
    Flat,
    FromImage,
    FromPoints,
    Surface,
    Tilted,
)


def recipe(surface: Surface, image: Path, **changes: Any) -> Recipe:
    where = {axis: changes.pop(axis) for axis in "tcz" if axis in changes}
    settings = {"sampling": Sampling(pixel_size_um=0.325), "model": "tiny"} | changes
    return Recipe(source=Source(path=str(image), **where), surfaces=surface, **settings)


@pytest.mark.parametrize(
    "surface",
    [
        Flat(-1, 1, 0.1),
        Flat(2.5),
        Tilted(1.25, -2, 3),
        Curved(form="sphere", radius_um=-900, centre_um=(3.5, 4), offset_um=1),
        Curved(form="cylinder", radius_um=9, axis_deg=30),
        FromPoints([(0, 0, 1 / 3), (0, 9, 2), (9, 0, 3)], smoothing=0.5),
        AlongPath([(0, 0, 1 / 3), (0, 9, 2)]),
    ],
)
def test_the_script_makes_the_same_recipe(tmp_path: Path, surface: Surface) -> None:
    text = script_of(recipe(surface, tmp_path / "in.tif"), tmp_path / "out.ome.tif") or ""
    found: dict[str, Any] = {"dz": dz}
    exec(text[text.index("recipe = ") : text.index("dz.save(")], found)
    assert found["recipe"].surfaces == (surface,)
    assert found["recipe"] == recipe(surface, tmp_path / "in.tif")
    assert max(map(len, text.splitlines())) < 110 + len(str(tmp_path))


def test_a_surface_image_from_a_file_needs_no_other_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "depths.tif", np.zeros((40, 50), np.float32))
    made = recipe(FromImage(tmp_path / "depths.tif"), tmp_path / "in.tif")
    output = tmp_path / "out.ome.tif"
    assert f"--surface={tmp_path / 'depths.tif'}" in shlex.split(command_of(made, output) or "")
    assert f"dz.FromImage({str(tmp_path / 'depths.tif')!r})" in (script_of(made, output) or "")


@pytest.mark.parametrize(
    ("pixel_size_um", "said"),
    [(0.1 + 0.2, "0.3"), (0.1234567891, "0.1234567891"), (1.0, "1"), (np.float64(0.5), "0.5")],
)
def test_sizes_keep_their_digits(tmp_path: Path, pixel_size_um: float, said: str) -> None:
    made = recipe(Flat(1), tmp_path / "in.tif", sampling=Sampling(pixel_size_um=pixel_size_um))
    command, script = (write(made, tmp_path / "out.ome.tif") for write in (command_of, script_of))
    assert f"--pixel-size={said}" in (command or "").split()
    assert f"sampling=dz.Sampling(pixel_size_um={said})" in (script or "")


@pytest.mark.parametrize(
    ("surface", "said"),
    [
        (Flat(-10, 10, 0.5), "--z=-10:10:0.5"),
        (Flat(2.5), "--z=2.5"),
        (Tilted(1, -2, 3), "--tilt-x=1 --tilt-y=-2 --offset=3"),
        (Curved(form="sphere", radius_um=9), "'--surface=a b.json'"),
    ],
)
def test_the_command_that_repeats_a_run(surface: Surface, said: str) -> None:
    command = command_of(
        recipe(surface, Path("in.tif"), z=3), Path("out.ome.tif"), surface_file=Path("a b.json")
    )
    start = "napari-deepz refocus in.tif out.ome.tif --plane=3"
    assert command == f"{start} {said} --model=tiny --pixel-size=0.325"


def test_optics_and_computation_are_said_where_they_were_chosen() -> None:
    sampling = Sampling(pixel_size_um=0.1, na=1.4, immersion_index=1.515, wavelength_um=0.52)
    compute = Compute(device="cpu", precision="bfloat16", memory_gb=2)
    made = recipe(Flat(1), Path("in.tif"), sampling=sampling, compute=compute)
    command, script = (write(made, Path("out.tif")) for write in (command_of, script_of))
    assert (command or "").endswith(
        "--pixel-size=0.1 --na=1.4 --immersion=1.515 --wavelength=0.52 --device=cpu "
        "--precision=bfloat16 --memory=2"
    )
    assert "dz.Compute(device='cpu', precision='bfloat16', memory_gb=2)" in (script or "")


def test_an_image_in_no_file_cannot_be_repeated() -> None:
    made = Recipe(source=Source(name="cells"), surfaces=Flat(1))
    assert command_of(made, Path("out.tif")) is None
    assert script_of(made, Path("out.tif")) is None


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (r"C:\data\cells_1.tif", r"C:\data\cells_1.tif"),
        (r"C:\my data\cells.tif", r'"C:\my data\cells.tif"'),
        (r"C:\a&b\cells (1).tif", r'"C:\a&b\cells (1).tif"'),
        (r"C:\a&b.tif", r'"C:\a&b.tif"'),
        ("it's.tif", '"it\'s.tif"'),
        ("--z=-4:4:0.5", "--z=-4:4:0.5"),
        (r"C:\Zellen µm.tif", r'"C:\Zellen µm.tif"'),
    ],
)
def test_windows_takes_words_in_double_quotes(word: str, said: str) -> None:
    assert quoted(["napari-deepz", word], windows=True) == f"napari-deepz {said}"


def test_other_shells_take_the_words_apart_again() -> None:
    words = ["napari-deepz", "it's $HOME", 'a "b"', "c\\d"]
    assert shlex.split(quoted(words, windows=False)) == words
