"""What is printed can neither command the terminal nor be lost in it, and every failure is said."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table

from napari_deepz.cli.console import all_through_console, console, harmless, print_line, print_note
from napari_deepz.cli.failures import sentence_of
from napari_deepz.cli.progress import print_entry
from napari_deepz.models.library import user_models_folder
from napari_deepz.watch import Progress
from tests.cli.conftest import Run
from tests.conftest import write_tiny_model
from tests.models.file_server import Server
from tests.models.test_download import hears_ctrl_c

EVIL = "\x1b]0;owned\x07\x9b2J\x7f\u202egnp.exe\u2066[bold]:smile:[/nonsense]\udcff"
SHOWN = r"\x1b]0;owned\x07\x9b2J\x7f\u202egnp.exe\u2066[bold]:smile:[/nonsense]\udcff"


def program(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "napari_deepz", *arguments], capture_output=True, **settings
    )


def test_controls_become_visible_and_all_else_stays() -> None:
    assert harmless(EVIL) == SHOWN
    for text in ("µm ± 5 °, 線虫 \N{BUG}", "a\nb\tc", "[bold]", "می‌خواهم"):
        assert harmless(text) == text
    assert harmless("a\nb\r\u2028c", "") == r"a\nb\r\u2028c"
    controls = {*range(32), *range(127, 160)} - {9, 10}
    assert all(harmless(chr(code)).isprintable() for code in controls)


def test_every_way_to_the_console_is_harmless(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 300)
    table = Table(title=EVIL.replace("\x07", ""), caption=EVIL.replace("\x07", ""))
    table.add_column(EVIL.replace("\x07", ""))
    table.add_row(EVIL.replace("\x07", ""))
    console.print(table)
    console.print(EVIL.replace("\x07", ""))
    print_line(EVIL + "\n" + EVIL)
    print_note(EVIL + "\nNote: all is well")
    said = capsys.readouterr().out
    assert said.count(SHOWN.replace(r"\x07", "")) == 5
    assert said.count(SHOWN) == 3
    assert r"\nNote: all is well" in said
    assert set("\x1b\x07\x9b\x7f\u202e\u2066") & set(said) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("refocus", f"{EVIL}.tif", "o.tif", "--z", "1"),
        ("refocus", "a\nError: b.tif", "o.tif", "--z", "1"),
        ("models", "show", EVIL),
        ("models", "add", EVIL),
        ("models", "add", f"ftp://{EVIL}"),
        ("models", "convert", EVIL, "out"),
        ("models", "remove", EVIL),
        ("train", EVIL),
        ("evaluate", EVIL, "--input-plane", "1"),
        (EVIL,),
        (f"--{EVIL}",),
        ("simulate", "x", "--count", EVIL),
        ("refocus", "--z"),
    ],
    ids=lambda arguments: " ".join(arguments)[:15].replace("\x1b", "ESC"),
)
def test_what_is_typed_comes_back_as_one_harmless_line(
    deepz: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    said = deepz(*arguments, cwd=tmp_path, check=False)
    assert said.code in (1, 2)
    assert said.stdout == ""
    assert said.stderr.startswith("Error: ")
    assert said.stderr.endswith(".\n")
    assert said.stderr.rstrip("\n").isprintable()
    if EVIL in arguments[0] or (arguments[0] == "models" and arguments[1] != "convert"):
        assert "[bold]:smile:[/nonsense]" in said.stderr


def test_words_that_are_no_command_end_with_2_and_say_where_help_is(
    deepz: Run, tmp_path: Path
) -> None:
    said = deepz("[bold]refocas", cwd=tmp_path, check=False)
    assert said.code == 2
    assert said.stderr.startswith("Error: No such command '[bold]refocas'")
    assert "--help)." in said.stderr
    assert deepz("--help", cwd=tmp_path).code == 0
    assert deepz("models", cwd=tmp_path, check=False).code == 2


def test_a_servers_words_are_harmless(
    deepz: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(b"", status=404, reason="Not\x1b[2J [bold]Found\x9b")
    try:
        said = deepz("models", "add", server.url, cwd=tmp_path, check=False)
    finally:
        server.close()
    assert r"the server answers 404 Not\x1b[2J [bold]Found\x9b; check the address" in said.stderr


def test_what_libraries_log_and_warn_about_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    last_resort = logging.lastResort
    with all_through_console():
        record = logging.LogRecord("tifffile", logging.WARNING, "", 0, "broken: %s", (EVIL,), None)
        assert logging.lastResort is not None
        logging.lastResort.handle(record)  # Where nobody else has set up logging.
        warnings.simplefilter("always")
        warnings.warn(EVIL, stacklevel=1)
    assert capsys.readouterr().err == f"tifffile: broken: {SHOWN}\nNote: {SHOWN}\n"
    assert logging.lastResort is last_resort


def test_an_undefined_correlation_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 100)
    entry = {
        "loss": 1.0,
        "correlation": {"2": {"refocused": None, "unrefocused": 0.5}, "gap 2": {"merged": 0.7}},
        "unit": "µm",
    }
    print_entry(entry, Progress(2, 1))
    said = capsys.readouterr().out
    rows = [line.split("│")[1:-1] for line in said.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["refocused", "none", "–"],
        ["unrefocused", "0.500", "–"],
        ["merged", "–", "0.700"],
    ]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_a_stream_that_lacks_characters_gets_others(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_model(user_models_folder() / "tiny", sample="線虫 … 5 µm")
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "200"}
    said = program("models", "list", env=environment)
    assert (said.returncode, said.stderr) == (0, b"")
    text = said.stdout.decode(encoding)
    micro, dots = ("u", "...") if encoding == "ascii" else ("µ", "...")
    dots = "…" if encoding in ("cp1252", "utf-8") else dots
    worm = "線虫" if encoding == "utf-8" else r"\u7dda\u866b"
    assert f"pixel ({micro}m)" in text
    assert f"{worm} {dots} 5 {micro}m" in text


@pytest.mark.skipif(os.name == "nt", reason="Windows ends pipes in another way")
def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    command = f"{sys.executable} -m napari_deepz models list | head -c 1"
    said = subprocess.run(command, shell=True, capture_output=True)
    assert (len(said.stdout), said.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="This system has no /dev/full")
def test_a_full_disk_behind_the_output_is_a_sentence() -> None:
    with open("/dev/full", "wb") as full:
        said = subprocess.run(
            [sys.executable, "-m", "napari_deepz", "--version"], stdout=full, stderr=subprocess.PIPE
        )
    assert said.returncode != 0
    assert b"No space left on device" in said.stderr
    assert b"Traceback" not in said.stderr


def test_no_stream_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with pythonw on Windows."""
    monkeypatch.setattr(sys, "stdout", None)
    with all_through_console():
        print_line("nobody hears it")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("std::bad_alloc"),
        OSError(12, "Cannot allocate memory", "mapped.npy"),
        ImportError("libtorch.so: failed to map segment from shared object"),
        SystemError("error return without exception set"),
    ],
)
def test_too_little_memory_is_said_so(error: BaseException) -> None:
    sentence, code = sentence_of(error)
    assert code == 1
    assert sentence.startswith("Error: this machine has too little free memory for this; close")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "Permission denied", "/x"), "'/x' cannot be read or written: Permi"),
        (OSError(28, "No space left on device"), "A file cannot be read or written: No space left"),
        (OSError("It is a sentence already."), "Error: It is a sentence already."),
        (KeyError("x"), "something unexpected happened (KeyError: 'x'); run the command again"),
    ],
)
def test_errors_of_the_system_are_sentences(error: BaseException, sentence: str) -> None:
    assert sentence in sentence_of(error)[0]


@pytest.mark.parametrize("command", [("demo", "--no-gui", "--output"), ("simulate",)])
@pytest.mark.parametrize("place", ["/", "home", "link"])
def test_results_have_a_folder_of_their_own(
    deepz: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    place: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "link").symlink_to("/")
    folder = {"/": "/", "home": tmp_path, "link": tmp_path / "link"}[place]
    said = deepz(*command, folder, cwd=tmp_path, check=False)
    assert (
        said.stderr == f"Error: '{folder}' is no folder for results; name one of their own in it.\n"
    )


@pytest.mark.parametrize("kind", ["file", "unreadable", "loop", "too long"])
def test_a_models_folder_that_cannot_be_used_is_said_and_the_bundled_ones_are_there(
    deepz: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = tmp_path / ("x" * 300 if kind == "too long" else "models")
    if kind == "file":
        place.write_text("")
    elif kind == "loop":
        place.symlink_to(place)
    elif kind == "unreadable":
        place.mkdir()
        listdir = os.listdir

        def refuse(path: Any = ".") -> list[str]:
            if str(path) == str(place):
                raise PermissionError(13, "Permission denied")
            return listdir(path)

        monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setenv("NAPARI_DEEPZ_MODELS", str(place))
    said = deepz("models", "list", cwd=tmp_path, columns=500)
    assert "widefield-20x" in said.stdout
    reason = "is not a folder." if kind in ("file", "loop") else "cannot be read: "
    assert f"Note: The models folder {place} {reason}" in said.stdout
    said = deepz("models", "add", write_tiny_model(tmp_path / "t"), cwd=tmp_path, check=False)
    if kind != "unreadable":
        assert said.stderr.startswith(f"Error: The model cannot be written to {place}: ")
        assert said.stderr.count("\n") == 1


_AT_WORK = """
import sys, time, importlib
module, _, name = sys.argv[1].partition(":")
def work(*arguments, **settings):
    print("at work", flush=True)
    time.sleep(60)
setattr(importlib.import_module(module), name, work)
sys.argv = ["napari-deepz", *sys.argv[2:]]
from napari_deepz.cli import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("kind", "where", "arguments", "extra"),
    [
        (
            "SIGHUP",
            "napari_deepz.recipes.saving:write_stack",
            ("demo", "--no-gui", "--output", "o"),
            None,
        ),
        (
            "SIGTERM",
            "napari_deepz.training.files:write_stack",
            ("simulate", "out", "--size", "32", "--half-range", "1", "--kind", "beads"),
            "psf_generator",
        ),
        (
            "SIGTERM",
            "napari_deepz.models.bioimageio.exporting:_write_package",
            ("models", "export", "tiny", "out.zip"),
            "bioimageio.spec",
        ),
    ],
    ids=["demo, terminal closed", "simulate", "export"],
)
def test_a_signal_ends_it_tidily(
    tmp_path: Path, kind: str, where: str, arguments: tuple[str, ...], extra: str | None
) -> None:
    if extra is not None:
        pytest.importorskip(extra, reason="needs an extra of napari-deepz")
    write_tiny_model(tmp_path / "tiny")
    process = subprocess.Popen(
        [sys.executable, "-c", _AT_WORK, where, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    began = time.monotonic()
    process.send_signal(getattr(signal, kind))
    _, said = process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)  # The shell says 130 of both.
    assert said == "Stopped.\n"
    assert time.monotonic() - began < 10
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".deepz-")]
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_ctrl_c_ends_a_download_that_drips_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(bytes(1000), drips_every_s=3.0)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "napari_deepz", "models", "add", server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not server.sent:
            time.sleep(0.05)
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Stopping; press Ctrl-C again")
        assert time.monotonic() - began < 1
        _, said = process.communicate(timeout=10)
    finally:
        server.close()
    assert (process.returncode, said) == (130, "Stopped.\n")
