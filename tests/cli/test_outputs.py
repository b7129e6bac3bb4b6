"""No command writes over an input, or over what is not a former result of its own."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_deepz import Tilted, read_image
from napari_deepz.io.reading import read_provenance
from napari_deepz.io.writing import write_stack
from napari_deepz.provenance import Provenance
from napari_deepz.samples import TILTED_BEADS
from tests.cli.conftest import Run, Said
from tests.conftest import write_tiny_model

NOT_OURS = "exists and was not made by napari-deepz"
UNIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="Windows asks for rights to make links")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    return rng.gamma(2, 40, (48, 64)).astype(np.float32)


def store(path: Path, planes: np.ndarray, kind: str = "inferred") -> Path:
    write_stack(
        path,
        planes,
        count=len(planes),
        shape=planes.shape[1:],
        pixel_size_um=0.325,
        z_step_um=1.0 if len(planes) > 1 else None,
        z_start_um=0.0,
        name="worm",
        provenance=Provenance(kind=kind),
    )
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def refused(said: Said, sentence: str) -> None:
    assert said.code == 1
    assert said.stderr.startswith("Error: ")
    assert said.stderr.strip().count("\n") == 0
    assert sentence in said.stderr


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("inferred", "is the input"),
        ("simulated", "holds a simulated stack, which would be lost"),
        ("measured", "holds a measured image, which would be lost"),
    ],
)
def test_refocus_never_replaces_its_input_whoever_made_it(
    deepz: Run,
    model: Path,
    tmp_path: Path,
    pixels: np.ndarray,
    ending: str,
    kind: str,
    sentence: str,
) -> None:
    if ending == ".ome.zarr":
        pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    image = store(tmp_path / f"worm{ending}", pixels[None], kind)
    before = content(tmp_path)
    arguments = ("--z", "1", "--model", model)
    for output in (image, f"./{image.name}", f"tiny/../{image.name}"):
        said = deepz("refocus", image, output, *arguments, cwd=tmp_path, check=False)
        refused(said, sentence)
    assert content(tmp_path) == before


@UNIX_ONLY
@pytest.mark.parametrize("link", ["soft", "hard", "chain", "folder"])
def test_refocus_never_replaces_its_input_through_a_link(
    deepz: Run, model: Path, tmp_path: Path, pixels: np.ndarray, link: str
) -> None:
    (tmp_path / "data").mkdir()
    image = store(tmp_path / "data" / "worm.ome.tif", pixels[None])
    output = tmp_path / "out.ome.tif"
    if link == "hard":
        os.link(image, output)
    elif link == "folder":
        (tmp_path / "same").symlink_to("data")
        output = tmp_path / "same" / image.name
    else:
        (tmp_path / "soft.ome.tif").symlink_to(image)
        output.symlink_to("soft.ome.tif" if link == "chain" else image)
    before = content(tmp_path)
    for one, other in ((image, output), (output, image)):
        said = deepz("refocus", one, other, "--z", "1", "--model", model, cwd=tmp_path, check=False)
        refused(said, "is the input")
    assert content(tmp_path) == before
    assert link == "folder" or output.is_symlink() == (link != "hard")


def test_refocus_never_writes_into_its_input(
    deepz: Run, model: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    image = store(tmp_path / "worm.ome.zarr", pixels[None])
    before = content(tmp_path)
    for output in (image / "out.ome.tif", image / "0" / "out.ome.zarr"):
        said = deepz(
            "refocus", image, output, "--z", "1", "--model", model, cwd=tmp_path, check=False
        )
        refused(said, "would lie inside the input")
    assert content(tmp_path) == before


def test_refocus_never_replaces_the_surface_that_it_reads(
    deepz: Run, model: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    """Depths that were exported carry the record of an inferred stack."""
    image = store(tmp_path / "worm.ome.tif", pixels[None], "measured")
    depths = store(tmp_path / "tilt.dpm.tif", Tilted(4, 0).dpm(pixels.shape, 0.325)[None])
    (tmp_path / "tilt.json").write_text(json.dumps({"kind": "image", "source": depths.name}))
    before = content(tmp_path)
    for surface in (depths, tmp_path / "tilt.json"):
        arguments = ("refocus", image, depths, "--surface", surface, "--model", model)
        refused(deepz(*arguments, cwd=tmp_path, check=False), "is the input")
    assert content(tmp_path) == before
    deepz("refocus", image, "o.tif", "--surface", "tilt.json", "--model", model, cwd=tmp_path)
    assert read_image(tmp_path / "o.tif").plane().shape == pixels.shape


def test_refocus_never_writes_into_its_model(
    deepz: Run, model: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    image = store(tmp_path / "worm.ome.tif", pixels[None])
    before = content(tmp_path)
    arguments = ("refocus", image, model / "out.tif", "--z", "1", "--model", model)
    refused(deepz(*arguments, cwd=tmp_path, check=False), "would lie inside the input")
    assert content(tmp_path) == before


@UNIX_ONLY
def test_refocus_follows_a_link_to_where_results_go(
    deepz: Run, model: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    image = store(tmp_path / "worm.ome.tif", pixels[None])
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out.ome.tif"
    link.symlink_to(tmp_path / "disk" / "real.ome.tif")
    for z in (1, 2):
        deepz("refocus", image, link, "--z", z, "--model", model, cwd=tmp_path)
        assert link.is_symlink()
        assert read_provenance(tmp_path / "disk" / "real.ome.tif").axial_range_um == (z, z)


def test_evaluate_never_writes_into_its_inputs(
    deepz: Run, model: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    stack = store(tmp_path / "s.ome.zarr", rng.random((3, 40, 40), np.float32), "measured")
    before = content(tmp_path)
    for folder in (stack, stack / "0" / "scores", model):
        said = deepz(
            *("evaluate", stack, "--input-plane", 1, "--model", model, "--output", folder),
            cwd=tmp_path,
            check=False,
        )
        refused(said, "would lie inside the input")
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["evaluation.csv", "evaluation.png"])
def test_evaluate_replaces_its_own_files_alone(
    deepz: Run, model: Path, tmp_path: Path, rng: np.random.Generator, name: str
) -> None:
    tifffile.imwrite(tmp_path / "s.tif", rng.integers(0, 99, (5, 40, 40), dtype=np.uint16))
    arguments = ["evaluate", "s.tif", "--input-plane", "1", "--model", model, "--z-step", "0.5"]
    deepz(*arguments, "--output", ".", cwd=tmp_path)
    deepz(*arguments, "--output", ".", cwd=tmp_path)
    assert read_provenance(tmp_path / "evaluation.png").kind == "inferred"
    if name.endswith("csv"):
        lines = (tmp_path / name).read_bytes().split(b"\r\n", 1)
        (tmp_path / name).write_bytes(lines[0] + b",my remarks\r\n" + lines[1])
    else:
        shutil.copy(Path(__file__), tmp_path / name)
    before = content(tmp_path)
    refused(deepz(*arguments, "--output", ".", cwd=tmp_path, check=False), f"{name}' {NOT_OURS}")
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["stack.ome.tif", "tilted.ome.tif", "overview.png"])
def test_demo_replaces_its_own_files_alone(deepz: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "deepz-demo").mkdir()
    if name.endswith("png"):
        (tmp_path / "deepz-demo" / name).write_text("a picture of somebody's")
    else:
        shutil.copy(TILTED_BEADS, tmp_path / "deepz-demo" / name)
    before = content(tmp_path)
    said = deepz("demo", "--no-gui", cwd=tmp_path, check=False)
    refused(said, NOT_OURS if name.endswith("png") else "holds a simulated stack")
    assert content(tmp_path) == before


SMALL = ("--size", "32", "--half-range", "1", "--kind", "beads", "--count", "2")


def test_simulate_replaces_its_own_files(deepz: Run, tmp_path: Path) -> None:
    pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")
    deepz("simulate", "out", *SMALL, "--seed", "1", cwd=tmp_path)
    first = content(tmp_path / "out")
    assert sorted(first) == [
        *("0000_beads.json", "0000_beads.ome.tif", "0001_beads.json", "0001_beads.ome.tif")
    ]
    deepz("simulate", "out", *SMALL, "--seed", "2", cwd=tmp_path)
    second = content(tmp_path / "out")
    assert sorted(second) == sorted(first)
    assert all(second[name] != first[name] for name in first)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("0001_beads.json", '{"my": "notes"}'),
        ("0001_beads.json", "not JSON at all"),
        ("0001_beads.json", "[]"),
        ("0000_beads.json", '{"kind": "beads", "optics": {}, "aberrations_waves": {}}'),
        ("0001_beads.ome.tif", "not a TIFF"),
        ("0000_beads.ome.tif", None),
    ],
)
def test_simulate_replaces_nothing_else(
    deepz: Run, tmp_path: Path, pixels: np.ndarray, name: str, text: str | None
) -> None:
    pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")
    (tmp_path / "out").mkdir()
    if text is None:
        store(tmp_path / "out" / name, pixels[None], "measured")
    else:
        (tmp_path / "out" / name).write_text(text)
    before = content(tmp_path)
    said = deepz("simulate", "out", *SMALL, cwd=tmp_path, check=False)
    refused(said, NOT_OURS if text else "holds a measured image, which would be lost")
    assert name in said.stderr
    assert content(tmp_path) == before


def test_kinds_are_known_before_anything_is_simulated() -> None:
    pytest.importorskip("psf_generator", reason="needs the extra napari-deepz[train]")
    from napari_deepz.training.phantoms import KINDS
    from napari_deepz.training.simulation import StackSettings, kinds_in_turn, simulate

    settings = StackSettings(size_px=32, half_range_um=0.5, z_step_um=0.5)
    for pupils in (2, 5):
        made = simulate(5, 0, settings, kinds=KINDS, pupils=pupils)
        assert kinds_in_turn(5, KINDS, pupils) == [stack.kind for stack in made]


@pytest.mark.parametrize("inside", [".", "package", "variables/package"])
def test_convert_never_writes_into_what_it_reads(deepz: Run, tmp_path: Path, inside: str) -> None:
    saved = tmp_path / "saved"
    (saved / "variables").mkdir(parents=True)
    (saved / "saved_model.pb").write_bytes(b"x")
    before = content(tmp_path)
    for given in (saved, saved / "saved_model.pb"):
        said = deepz("models", "convert", given, saved / inside, cwd=tmp_path, check=False)
        refused(said, "is the input" if inside == "." else "would lie inside the input")
    assert content(tmp_path) == before


def test_export_never_writes_into_its_model(deepz: Run, model: Path, tmp_path: Path) -> None:
    before = content(tmp_path)
    said = deepz("models", "export", model, model / "out.zip", cwd=tmp_path, check=False)
    refused(said, "would lie inside the input")
    assert content(tmp_path) == before


def test_a_choice_between_channels_names_them(
    deepz: Run, model: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    multiscale = {"axes": [{"name": axis} for axis in "cyx"], "datasets": [{"path": "0"}]}
    channels = [{"label": "DAPI"}, {}, {"label": "GFP\x1b[2J"}]
    ome = {"version": "0.5", "multiscales": [multiscale], "omero": {"channels": channels}}
    group = zarr.create_group(tmp_path / "a.ome.zarr", attributes={"ome": ome})
    group.create_array("0", data=rng.integers(1, 99, (3, 40, 40), dtype=np.uint16))
    arguments = ("refocus", "a.ome.zarr", "o.tif", "--z", "1", "--model", model)
    said = deepz(*arguments, cwd=tmp_path, check=False)
    assert "with --channel, from 0 to 2 (0 DAPI, 1, 2 GFP?[2J)." in said.stderr
