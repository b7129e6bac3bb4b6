"""What is said about the project in several places is the same everywhere."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import pytest
import yaml

import napari_deepz

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src/napari_deepz"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
MODULES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage"}


def name_of(requirement: str) -> str:
    return re.split(r"[\[>=; ]", requirement)[0]


def names(requirements: list[str]) -> set[str]:
    return {*map(name_of, requirements)}


def bounds() -> dict[str, str]:
    """The lower bound of everything that users need."""
    needed = [*PROJECT["project"]["dependencies"], *chain(*EXTRAS.values())]
    return {name_of(each): re.split(r">=|;", each)[1].strip() for each in needed}


def table_under(sentence: str) -> list[list[str]]:
    """The cells of the first table after a line that begins so, without its head."""
    below = CONTRIBUTING.split(f"\n{sentence}", 1)[1]
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert rows is not None
    lines = rows[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def first_cells(sentence: str) -> list[str]:
    return [name for row in table_under(sentence) for name in row[0].split(", ")]


@cache
def imported(path: Path) -> set[str]:
    """The top-level modules that a file, or any file of a folder, imports."""
    found = set()
    for file in path.rglob("*.py") if path.is_dir() else [path]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def test_the_version_is_the_same_everywhere() -> None:
    declared = PROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    changes = re.findall(r"^## \[?([\w.]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert changes[0] == "Unreleased"
    assert {declared} == {napari_deepz.__version__, str(citation["version"]), changes[1]}


def test_every_dependency_has_a_reason() -> None:
    listed = first_cells("Needed to run")
    assert sorted(listed) == sorted(names(PROJECT["project"]["dependencies"]))


def test_every_dependency_is_imported_where_it_is_said_to_be() -> None:
    for name, where, _ in table_under("Needed to run"):
        module = MODULES.get(name, name)
        if where.startswith("nowhere"):
            assert module not in imported(SOURCES), name
            continue
        assert module in imported(SOURCES), name
        for path in re.findall(r"`([^`]+)`", where):
            assert module in imported(SOURCES / path), f"{name} in {path}"


def test_every_extra_has_a_reason() -> None:
    listed = {row[0].strip("`"): row[1] for row in table_under("Extras:")}
    assert listed.keys() == EXTRAS.keys()
    for extra, text in listed.items():
        assert all(name in text for name in names(EXTRAS[extra])), extra
        for path in re.findall(r"`([^`]+)`", text):
            assert (SOURCES / path).exists(), path


@pytest.mark.parametrize("group", GROUPS)
def test_every_tool_has_a_reason(group: str) -> None:
    assert sorted(first_cells(f"Tools of the group `{group}`")) == sorted(names(GROUPS[group]))


def test_bounds_that_are_higher_than_expected_are_those_declared() -> None:
    lowest = bounds()
    listed = first_cells("Those that are higher")
    assert listed
    for each in listed:
        name, version = each.split(" ")
        assert lowest[name] == version


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").split()
    assert lines == sorted(lines, key=str.lower)
    pinned = dict(line.lower().split("==") for line in lines)
    needed = bounds()
    tools = {name for group in GROUPS.values() for name in names(group)}
    # TensorFlow is there in one build or the other.
    assert {name.lower() for name in needed.keys() | tools} - pinned.keys() == {"tensorflow"}
    for name, lowest in needed.items():
        if name != "tensorflow":
            assert numbers(pinned[name.lower()]) >= numbers(lowest), name


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def test_ruff_is_the_same_before_a_commit_and_in_the_checks() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    (rev,) = (each["rev"] for each in hooks if "ruff" in each["repo"])
    assert f"ruff=={rev[1:]}" in (ROOT / "constraints.txt").read_text("utf-8").split()


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    pinned = re.search(r"^typer==(.*)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
    if pinned is None or pinned[1] != version("typer"):
        pytest.skip("another typer words the page differently")
    command = [sys.executable, "-m", "typer", "napari_deepz.cli", "utils", "docs"]
    written = subprocess.run(
        [*command, "--name", "napari-deepz", "--title", "Command line"],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env=os.environ | {"PYTHONUTF8": "1"},
    ).stdout
    page = (ROOT / "docs/command_line.md").read_text("utf-8")
    assert page.strip() == written.strip(), "run 'make docs/command_line.md'"
