from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from napari_deepz.cli import main
from napari_deepz.cli.console import console


@dataclass
class Said:
    code: int
    stdout: str
    stderr: str


Run = Callable[..., Said]


@pytest.fixture
def deepz(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the program's own entry point in a folder, as the shell would."""

    def run(*arguments: object, cwd: Any, check: bool = True, columns: int = 200) -> Said:
        monkeypatch.setattr(sys, "argv", ["napari-deepz", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", str(columns))
        # A console that was made while COLUMNS was set does not look at it again.
        monkeypatch.setattr(console, "width", columns)
        monkeypatch.chdir(cwd)
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = Said(code, *capsys.readouterr())
        if check:
            assert said.code == 0, said.stderr
        return said

    return run
