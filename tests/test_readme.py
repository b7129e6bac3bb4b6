"""Every command and every line of Python in the README runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from napari_deepz.cli import main
from napari_deepz.io.reading import read_image
from napari_deepz.models.library import list_models

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def write_saved_model(folder: Path) -> None:
    """Stand for the authors' model, which may not be passed on."""
    program = ROOT / "tests/models/tensorflow_models.py"
    made = folder.with_name("saved-models")
    made.mkdir()
    subprocess.run([sys.executable, str(program), str(made)], check=True, capture_output=True)
    (made / "odd").rename(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # bioimageio.spec's own.
def test_commands_and_python_run_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package, extra in (
        ("psf_generator", "train"),
        ("bioimageio", "bioimageio"),
        ("tensorflow", "tensorflow"),
    ):
        if find_spec(package) is None:
            pytest.skip(f"needs the extra napari-deepz[{extra}]")
    commands = [
        line
        for block in blocks("sh")
        for line in block.splitlines()
        if line.startswith("napari-deepz ")
    ]
    assert len(commands) == 15
    write_saved_model(tmp_path / "their-model")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    monkeypatch.chdir(tmp_path)
    for command in commands:
        if command == "napari-deepz models list":  # One as a shell finds it.
            subprocess.run(command, shell=True, env=environment, check=True, capture_output=True)
        else:
            monkeypatch.setattr(sys, "argv", shlex.split(command))
            with pytest.raises(SystemExit) as end:
                main()
            assert not end.value.code, command
    virtual = read_image(tmp_path / "virtual.ome.tif")
    assert virtual.data.shape == (41, 128, 128)
    assert (virtual.pixel_size_um, virtual.z_step_um) == (0.325, 0.5)
    assert read_image(tmp_path / "tilted.ome.tif").data.shape == (128, 128)
    assert (tmp_path / "scores/evaluation.png").exists()
    assert list_models()["my-model"].name == "my-model"
    assert zipfile.is_zipfile(tmp_path / "widefield.zip")

    script = "".join(blocks("python"))
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    first, *tilts, several, spread = said.splitlines()
    assert first.startswith("(41, 128, 128) -10.0 10.0 ")
    assert [line.split()[0] for line in tilts] == ["-3", "0", "3"]
    assert several.startswith("(13, 128, 128) (")
    assert float(spread) > 0


def test_make_targets_of_the_readme_exist() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    assert named == ["demo", "test"]
    assert set(named) <= set(targets)


def test_extras_of_the_readme_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in ("all", "zarr", "train", "tensorflow", "openvino", "bioimageio"):
        assert f"`{extra}`" in TEXT
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE)


def links(text: str) -> list[str]:
    """Files that a Markdown text links to or shows."""
    found = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    return [link for link in found if not link.startswith(("http", "mailto"))]


PAGES: list[str | Path] = [
    "README.md",
    "CONTRIBUTING.md",
    "examples/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: Path(page).name)
def test_linked_files_exist(page: str | Path) -> None:
    path = ROOT / page
    for link in links(path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


def test_the_readme_and_the_documents_show_all_pictures() -> None:
    shown = {
        (ROOT / page).parent.joinpath(link).resolve()
        for page in PAGES
        for link in links((ROOT / page).read_text(encoding="utf-8"))
    }
    assert any(link.startswith("docs/images/") for link in links(TEXT))
    assert set((ROOT / "docs/images").iterdir()) <= shown
