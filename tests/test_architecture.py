"""The arrows of docs/architecture.md, checked on the import statements themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import napari_deepz

ROOT = Path(napari_deepz.__file__).parent
VALUES = {
    *("atomic_files", "images", "intensity", "surfaces", "optics", "provenance", "tiling", "watch"),
    *("names", "pupil", "sampling", "samples", "settings", "stored_pixels"),
}
NETS = VALUES | {"networks", "models"}
ALLOWED = {
    **dict.fromkeys(VALUES, VALUES),
    "networks": VALUES,
    "models": VALUES | {"networks"},
    "engine": NETS,
    "io": VALUES,
    "analysis": NETS | {"engine"},
    "recipes": NETS | {"engine", "movies", "io"},
    "pictures": VALUES | {"analysis", "io"},
    "movies": VALUES,
    "neurons": NETS | {"engine", "movies"},
    "training": NETS | {"engine", "analysis", "io"},
    "demo": NETS | {"engine", "analysis", "pictures", "recipes", "io"},
    "cli": NETS
    | {"engine", "analysis", "pictures", "recipes", "training", "movies", "neurons", "io", "demo"},
    "__main__": {"cli"},
    "widgets": NETS | {"engine", "analysis", "pictures", "recipes", "movies", "neurons", "io"},
}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
TENSORFLOW_READER = "models/tensorflow/reader.py"
FOREIGN = {"napari", "qtpy", "PyQt6", "magicgui", "superqt", "vispy", "tensorflow", "pyqtgraph"}


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


@cache
def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_imports_point_downward() -> None:
    assert {room(path) for path in MODULES} <= set(ALLOWED), "a room is not in architecture.md"
    offenders = {}
    for path in MODULES:
        own = room(path)
        ours = {name.split(".")[1] for name in imported(path) if name.startswith("napari_deepz.")}
        if forbidden := ours - {own, "__version__"} - ALLOWED[own]:
            offenders[str(path.relative_to(ROOT))] = forbidden
    assert offenders == {}


def test_only_widgets_import_napari_and_qt() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): {name.split(".")[0] for name in imported(path)} & FOREIGN
        for path in MODULES
        if room(path) != "widgets"
    }
    offenders = {name: foreign for name, foreign in found.items() if foreign}
    assert offenders == {TENSORFLOW_READER: {"tensorflow"}}


def test_headless_modules_leave_napari_and_qt_alone() -> None:
    headless = [
        ".".join(("napari_deepz", *path.relative_to(ROOT).with_suffix("").parts))
        for path in MODULES
        if room(path) not in ("widgets", "__main__")
    ]
    code = (
        f"import sys, importlib\nfor name in {headless!r}: importlib.import_module(name)\n"
        f"print(sorted({FOREIGN!r} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_importing_the_package_is_light() -> None:
    code = "import sys, napari_deepz; print('torch' in sys.modules, 'numpy' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "False"]


def test_public_names_are_there() -> None:
    for name in napari_deepz.__all__:
        assert getattr(napari_deepz, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'refocuss'"):
        _ = napari_deepz.refocuss


def test_the_manifest_is_visible_at_the_top_level() -> None:
    link = Path(__file__).parents[1] / "napari.yaml"
    assert link.read_text() == (ROOT / "napari.yaml").read_text()


def test_source_files_are_short() -> None:
    long = {path.name: n for path in MODULES if (n := len(path.read_text().splitlines())) > 400}
    assert not long
