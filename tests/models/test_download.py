"""Downloads from a real server on this machine: whole, broken off, refused, stopped, offline."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_deepz.models import download, kept_downloads
from napari_deepz.models.download import fetch
from napari_deepz.models.errors import ModelError
from napari_deepz.models.kept_downloads import (
    clear_downloads,
    download_of,
    downloads_folder,
    forget,
)
from napari_deepz.watch import Cancelled, Progress, Watch
from tests.models.file_server import Server

SIZE = 1_000_000


@pytest.fixture
def server(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(rng.bytes(SIZE))
    yield server
    server.close()


def files() -> list[str]:
    """All that is in the downloads folder."""
    folder = downloads_folder()
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("pinned", [True, False])
def test_a_file_comes_whole_and_says_how_far_it_is(server: Server, pinned: bool) -> None:
    seen: list[tuple[int, int]] = []

    def on_progress(progress: Progress) -> None:
        seen.append((progress.done, progress.total))

    watch = Watch(on_progress=on_progress)
    path = fetch(server.url, server.sha256.upper() if pinned else None, watch=watch)
    assert path.read_bytes() == server.content
    assert path.parent == downloads_folder()
    assert files() == [path.name]
    assert sorted(seen) == seen
    assert seen[-1] == (SIZE, SIZE)


def test_progress_of_a_slow_download_is_told_while_it_comes(server: Server) -> None:
    server.drips_every_s, server.drop_bytes = 0.05, SIZE // 10
    seen: list[int] = []
    fetch(server.url, watch=Watch(on_progress=lambda progress: seen.append(progress.done)))
    assert len({*seen}) > 1
    assert seen == sorted(seen)


def test_a_pinned_file_is_not_asked_for_twice(server: Server) -> None:
    path = fetch(server.url, server.sha256)
    assert fetch(server.url, server.sha256) == path
    assert len(server.sent) == 1


def test_what_was_downloaded_is_there_offline(server: Server) -> None:
    fetch(server.url, server.sha256)
    server.close()
    assert fetch(server.url, server.sha256).read_bytes() == server.content


def test_a_file_that_is_not_the_one_of_the_checksum_is_had_anew(server: Server) -> None:
    download_of(server.url).parent.mkdir(parents=True)
    download_of(server.url).write_bytes(b"damaged")
    assert fetch(server.url, server.sha256).read_bytes() == server.content


def test_without_a_checksum_a_file_is_had_anew_after_an_hour(server: Server) -> None:
    path = fetch(server.url)
    server.content = server.content[::-1]
    grow_old(path, 0.9 / 24)
    assert fetch(server.url).read_bytes() == server.content[::-1]
    grow_old(path, 1.1 / 24)
    assert fetch(server.url).read_bytes() == server.content
    server.close()
    grow_old(path, 1.1 / 24)
    with pytest.raises(ModelError, match="cannot be reached"):
        fetch(server.url)
    assert path.read_bytes() == server.content


def test_what_broke_off_is_begun_again(server: Server) -> None:
    server.breaks_after, server.breaks_times = 400_000, 2
    server.says_length_of = SIZE
    assert fetch(server.url, server.sha256).read_bytes() == server.content
    assert server.sent == [400_000, 400_000, SIZE]


@pytest.mark.parametrize("there", [False, True], ids=["new", "outdated"])
def test_what_breaks_off_again_and_again_is_not_taken_for_whole(
    server: Server, there: bool
) -> None:
    if there:
        download_of(server.url).parent.mkdir(parents=True)
        download_of(server.url).write_bytes(b"earlier")
    server.breaks_after, server.says_length_of = 400_000, SIZE
    with pytest.raises(ModelError, match="broke off before its end; run the same again"):
        fetch(server.url, server.sha256)
    assert server.sent == [400_000] * 3
    assert [(downloads_folder() / name).read_bytes() for name in files()] == [b"earlier"] * there


def test_a_wrong_checksum_keeps_nothing(server: Server) -> None:
    with pytest.raises(ModelError, match=r"does not have the SHA-256 checksum 0{64}; it was not"):
        fetch(server.url, "0" * 64)
    assert not list(downloads_folder().iterdir())


@pytest.mark.parametrize("text", ["", "0" * 63, "g" * 64, "sha256:" + "0" * 64])
def test_what_is_no_checksum(text: str) -> None:
    with pytest.raises(ModelError, match="is not a SHA-256 checksum"):
        fetch("http://127.0.0.1:9/", text)


@pytest.mark.parametrize("status", [404, 403, 500])
def test_the_servers_refusal_is_passed_on(server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(ModelError, match=f"the server answers {status} .*check the address"):
        fetch(server.url)
    assert not files()


@pytest.mark.parametrize("says_length", [True, False], ids=["declared", "actual"])
def test_too_large(server: Server, monkeypatch: pytest.MonkeyPatch, says_length: bool) -> None:
    monkeypatch.setattr(download, "MOST_BYTES", SIZE - 1)
    server.says_length = says_length
    seen: list[int] = []
    with pytest.raises(ModelError, match="is larger than"):
        fetch(server.url, watch=Watch(on_progress=lambda progress: seen.append(progress.done)))
    assert not seen
    assert not files()


def test_a_server_that_does_not_say_how_much_comes(server: Server) -> None:
    server.says_length = False
    assert fetch(server.url).read_bytes() == server.content


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.zip", "http://", "http://[::1/a.zip"])
def test_nobody_there(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(ModelError, match="cannot be reached: check the address and the network"):
        fetch(url)
    assert not files()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a.zip", "file:///etc/passwd"])
def test_only_the_web(url: str) -> None:
    with pytest.raises(ModelError, match="only http and https addresses can"):
        fetch(url)


def test_several_at_once_do_not_disturb_each_other(server: Server) -> None:
    server.drips_every_s, server.drop_bytes = 0.02, SIZE // 10
    with ThreadPoolExecutor(3) as pool:
        paths = [*pool.map(lambda _: fetch(server.url, server.sha256), range(3))]
    assert len({*paths}) == 1
    assert paths[0].read_bytes() == server.content
    assert files() == [paths[0].name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_disk_that_takes_no_more(server: Server) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, limits[1]))
        with pytest.raises(OSError, match=r"The download of http.* cannot be written to .*: File"):
            fetch(server.url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not files()


def test_forgetting(server: Server) -> None:
    fetch(server.url)
    forget(server.url)
    forget(server.url)
    assert not files()


def test_without_a_setting_downloads_go_to_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAPARI_DEEPZ_MODELS")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("/cache", name))
    assert downloads_folder() == Path("/cache/napari-deepz/downloads")


def stopped_after(url: str, asked: threading.Event) -> float:
    """Seconds from the wish to stop to the end."""
    wished: list[float] = []

    def wish() -> bool:
        if asked.is_set() and not wished:
            wished.append(time.monotonic())
        return asked.is_set()

    with pytest.raises(Cancelled):
        fetch(url, watch=Watch(wish))
    return time.monotonic() - wished[0]


@pytest.mark.parametrize("every_s", [0.05, 3.0])
def test_a_download_that_drips_is_stopped_at_once(server: Server, every_s: float) -> None:
    server.drips_every_s = every_s
    asked = threading.Event()
    threading.Timer(0.5, asked.set).start()
    began = time.monotonic()
    assert stopped_after(server.url, asked) < 0.5
    assert time.monotonic() - began < 1.5
    assert not files()
    server.drips_every_s = None
    assert fetch(server.url).read_bytes() == server.content


def test_a_server_that_takes_the_call_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = threading.Event()
        threading.Timer(0.3, asked.set).start()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip"
        assert stopped_after(url, asked) < 0.5


def test_an_address_that_cannot_be_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where packets are lost, or the look-up of a name takes its time."""
    over = threading.Event()
    monkeypatch.setattr("requests.get", lambda *_, **__: over.wait(30))
    asked = threading.Event()
    threading.Timer(0.3, asked.set).start()
    assert stopped_after("http://192.0.2.1/a.zip", asked) < 0.5
    over.set()


def hears_ctrl_c() -> None:
    """What is started in the background or by nohup, as these tests may be, does not hear it."""
    for kind in (signal.SIGINT, signal.SIGHUP):
        signal.signal(kind, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_key_interrupts_where_nobody_asks(server: Server) -> None:
    """Used from Python, without a stop condition."""
    server.drips_every_s = 60.0
    code = f"from napari_deepz.models.download import fetch; fetch({server.url!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL, preexec_fn=hears_ctrl_c
    )
    while not server.sent:
        time.sleep(0.05)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    assert time.monotonic() - began < 15  # PyTorch takes its time to go, where others work too.
    assert not files()


def test_the_servers_own_words_are_made_harmless(server: Server) -> None:
    server.status, server.reason = 404, "Gone\x1b]0;owned\x07 \x9b2J"
    with pytest.raises(ModelError, match=r"answers 404 Gone\\x1b\]0;owned\\x07 \\x9b2J; check"):
        fetch(server.url)


def grow_old(path: Path, days: float) -> None:
    changed = time.time() - days * 24 * 3600
    os.utime(path, (changed, changed))


def test_what_nobody_used_for_a_week_is_deleted_whatever_its_address(server: Server) -> None:
    whole = fetch(server.url)
    notes = downloads_folder() / "notes.txt"
    notes.write_text("not a download")
    for days, left in ((6.9, [whole.name, "notes.txt"]), (7.1, ["notes.txt"])):
        grow_old(whole, days)
        grow_old(notes, days)
        clear_downloads()
        assert files() == left


def test_use_keeps_a_download(server: Server) -> None:
    whole = fetch(server.url, server.sha256)
    grow_old(whole, 6.9)
    fetch(server.url, server.sha256)
    assert time.time() - whole.stat().st_mtime < 60


def test_no_more_is_kept_than_one_download_may_have(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_downloads, "MOST_BYTES", 2 * SIZE + 100_000)
    paths = [fetch(f"{server.url}&{number}") for number in range(3)]
    for age, path in enumerate(reversed(paths)):
        grow_old(path, age)
    clear_downloads()
    assert [path.exists() for path in paths] == [False, True, True]


@pytest.mark.skipif(os.name == "nt", reason="Unix alone kills a process at once")
def test_what_a_killed_download_has_left_goes_with_the_next(server: Server) -> None:
    server.drips_every_s = 0.01
    code = f"from napari_deepz.models.download import fetch; fetch({server.url!r})"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while not server.sent:
            time.sleep(0.05)
        process.kill()
    (left,) = files()
    assert left.endswith(".part")
    server.drips_every_s = None
    code = f"from napari_deepz.models.download import fetch; print(fetch({server.url!r}))"
    path = Path(subprocess.check_output([sys.executable, "-c", code], text=True).rstrip())
    assert files() == [path.name]
    assert path.read_bytes() == server.content
