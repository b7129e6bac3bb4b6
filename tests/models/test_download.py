"""Downloads from a real server on this machine: whole, broken off, continued, refused, offline."""

from __future__ import annotations

import os
import re
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
from napari_deepz.models.download import DownloadWarning, fetch
from napari_deepz.models.errors import ModelError
from napari_deepz.models.kept_downloads import (
    clear_downloads,
    download_of,
    downloads_folder,
    forget,
    version_of,
)
from napari_deepz.watch import Cancelled, Progress
from tests.models.file_server import Server

SIZE = 1_000_000


@pytest.fixture
def server(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(rng.bytes(SIZE))
    yield server
    server.close()


def files() -> list[str]:
    """What is kept of downloads, without the notes on versions, which are a few bytes."""
    folder = downloads_folder()
    found = sorted(folder.iterdir()) if folder.exists() else []
    return [path.name for path in found if path.suffix != ".version"]


def break_off(server: Server, after: int = 400_000) -> None:
    server.breaks_after, server.says_length_of = after, SIZE
    with pytest.raises(ModelError, match="broke off before its end; run the same again"):
        fetch(server.url)
    server.breaks_after = server.says_length_of = None


@pytest.mark.parametrize("pinned", [True, False])
def test_a_file_comes_whole_and_says_how_far_it_is(server: Server, pinned: bool):
    seen: list[tuple[int, int]] = []

    def on_progress(progress: Progress) -> None:
        seen.append((progress.done, progress.total))

    path = fetch(server.url, server.sha256.upper() if pinned else None, on_progress=on_progress)
    assert path.read_bytes() == server.content
    assert path.parent == downloads_folder()
    assert files() == [path.name]
    assert len(seen) > 5
    assert sorted(seen) == seen
    assert seen[-1] == (SIZE, SIZE)


def test_a_pinned_file_is_not_asked_for_twice(server: Server):
    path = fetch(server.url, server.sha256)
    assert fetch(server.url, server.sha256) == path
    assert len(server.sent) == 1


def test_what_was_downloaded_is_there_offline(server: Server):
    fetch(server.url, server.sha256)
    server.close()
    assert fetch(server.url, server.sha256).read_bytes() == server.content


def test_without_a_checksum_it_is_said_that_the_server_was_not_asked(server: Server):
    fetch(server.url)
    server.close()
    with pytest.warns(DownloadWarning, match=r"^http://.* cannot be reached, so the file that"):
        assert fetch(server.url).read_bytes() == server.content


@pytest.mark.parametrize("named", ["etag", "date"])
def test_an_unpinned_file_is_had_again_only_when_it_changed(server: Server, named: str):
    if named == "date":
        server.etag, server.modified = None, "Wed, 21 Oct 2026 07:28:00 GMT"
    fetch(server.url)
    fetch(server.url)
    assert [(status, size) for status, _, size in server.sent] == [(200, SIZE), (304, 0)]
    server.content = server.content[::-1]
    if named == "date":
        server.modified = "Wed, 21 Oct 2026 08:28:00 GMT"
    else:
        server.etag = '"2"'
    assert fetch(server.url).read_bytes() == server.content


def test_a_server_that_fails_later_does_not_take_the_file_away(server: Server):
    fetch(server.url)
    server.status, server.etag = 500, '"2"'
    assert fetch(server.url).read_bytes() == server.content


@pytest.mark.parametrize("named", ["etag", "date", "weak etag and date"])
def test_a_broken_download_goes_on_where_it_stopped(server: Server, named: str):
    if named != "etag":
        server.etag = None if named == "date" else 'W/"1"'
        server.modified = "Wed, 21 Oct 2026 07:28:00 GMT"
    break_off(server)
    seen: list[int] = []
    path = fetch(server.url, server.sha256, on_progress=lambda progress: seen.append(progress.done))
    assert path.read_bytes() == server.content
    status, wanted, sent = server.sent[-1]
    have = int(re.fullmatch(r"bytes=(\d+)-", wanted or "")[1])
    assert 300_000 < have <= 400_000
    assert (status, sent) == (206, SIZE - have)
    assert have < seen[0]
    assert files() == [path.name]


def test_a_stopped_download_goes_on_where_it_stopped(server: Server):
    seen = [0]
    with pytest.raises(Cancelled):
        fetch(
            server.url,
            on_progress=lambda progress: seen.append(progress.done),
            should_stop=lambda: seen[-1] >= 6 * (64 << 10),
        )
    assert fetch(server.url).read_bytes() == server.content
    assert server.sent[-1][0] == 206
    assert server.sent[-1][2] == SIZE - seen[-1]
    assert 6 * (64 << 10) <= seen[-1] <= 7 * (64 << 10)


def test_a_file_that_changed_meanwhile_is_had_anew(server: Server):
    break_off(server)
    server.content, server.etag = server.content[::-1], '"2"'
    assert fetch(server.url).read_bytes() == server.content
    assert server.sent[-1][0] == 200


@pytest.mark.parametrize("trouble", ["no ranges", "wrong range", "no version"])
def test_where_going_on_is_impossible_it_begins_anew(server: Server, trouble: str):
    if trouble == "no version":
        server.etag = None
    break_off(server)
    server.ranges = trouble != "no ranges"
    server.wrong_range = trouble == "wrong range"
    path = fetch(server.url, server.sha256)
    assert path.read_bytes() == server.content
    assert server.sent[-1][0::2] == (200, SIZE)
    assert files() == [path.name]


def test_a_part_longer_than_the_file_is_thrown_away(server: Server):
    break_off(server)
    server.content = server.content[:1000]
    assert fetch(server.url).read_bytes() == server.content
    assert [status for status, *_ in server.sent] == [200, 416, 200]


def test_a_wrong_checksum_keeps_nothing(server: Server):
    with pytest.raises(ModelError, match=r"does not have the SHA-256 checksum 0{64}; it was not"):
        fetch(server.url, "0" * 64)
    assert not list(downloads_folder().iterdir())


@pytest.mark.parametrize("text", ["", "0" * 63, "g" * 64, "sha256:" + "0" * 64])
def test_what_is_no_checksum(text: str):
    with pytest.raises(ModelError, match="is not a SHA-256 checksum"):
        fetch("http://127.0.0.1:9/", text)


@pytest.mark.parametrize("status", [404, 403, 500])
def test_the_servers_refusal_is_passed_on(server: Server, status: int):
    server.status = status
    with pytest.raises(ModelError, match=f"the server answers {status} .*check the address"):
        fetch(server.url)
    assert not files()


def test_a_body_shorter_than_was_said_is_not_taken_for_whole(server: Server):
    server.says_length_of = SIZE + 1
    with pytest.raises(ModelError, match="broke off before its end"):
        fetch(server.url, server.sha256)
    assert all(name.endswith(".part") for name in files())


@pytest.mark.parametrize("says_length", [True, False], ids=["declared", "actual"])
def test_too_large(server: Server, monkeypatch: pytest.MonkeyPatch, says_length: bool):
    monkeypatch.setattr(download, "MOST_BYTES", SIZE - 1)
    server.says_length = says_length
    seen: list[int] = []
    with pytest.raises(ModelError, match="is larger than"):
        fetch(server.url, on_progress=lambda progress: seen.append(progress.done))
    assert not seen
    assert not files()


def test_a_server_that_does_not_say_how_much_comes(server: Server):
    server.says_length = False
    assert fetch(server.url).read_bytes() == server.content


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.zip", "http://", "http://[::1/a.zip"])
def test_nobody_there(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(ModelError, match="cannot be reached: check the address and the network"):
        fetch(url)
    assert not files()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a.zip", "file:///etc/passwd"])
def test_only_the_web(url: str):
    with pytest.raises(ModelError, match="only http and https addresses can"):
        fetch(url)


def test_a_full_disk(server: Server, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.Progress, "advance", full)
    with pytest.raises(OSError, match=r"cannot be written to .*: No space left on device"):
        fetch(server.url, on_progress=lambda progress: None)
    assert not files()


def fetch_at_once(server: Server, wait_for: int = 2) -> list[bytes]:
    """What several callers get who have all begun before any of them ends."""
    begun = threading.Barrier(wait_for)

    def content(_: int) -> bytes:
        first = iter([True])

        def on_progress(progress: Progress) -> None:
            if next(first, False):
                begun.wait(10)

        return fetch(server.url, on_progress=on_progress).read_bytes()

    with ThreadPoolExecutor(wait_for) as pool:
        return list(pool.map(content, range(wait_for)))


@pytest.mark.parametrize("broken_off", [False, True])
def test_several_at_once_do_not_disturb_each_other(server: Server, broken_off: bool):
    if broken_off:
        break_off(server)
        server.sent.clear()
    assert fetch_at_once(server, 3) == [server.content] * 3
    assert sorted(status for status, *_ in server.sent) == [200, 200, 206 if broken_off else 200]
    assert len(files()) == 1


def test_a_part_that_is_not_as_long_as_was_said_is_not_taken(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    def disturb(progress: Progress) -> None:
        (data,) = downloads_folder().glob("*.part-*/data")
        with data.open("ab") as stream:
            stream.write(b"of somebody else")

    with pytest.raises(ModelError, match="broke off before its end"):
        fetch(server.url, on_progress=disturb)
    assert all(name.endswith(".part") for name in files())
    assert fetch(server.url).read_bytes() == server.content


@pytest.mark.parametrize("age_s", [60, 7200])
def test_what_a_killed_download_has_left_is_continued_when_nobody_works_on_it(
    server: Server, age_s: int
):
    break_off(server)
    (part,) = downloads_folder().glob("*.part")
    left = part.rename(f"{part}-12345678")
    for path in (*left.iterdir(), left):
        os.utime(path, (time.time() - age_s,) * 2)
    assert fetch(server.url).read_bytes() == server.content
    assert server.sent[-1][0] == (206 if age_s > 3600 else 200)
    assert left.exists() is (age_s < 3600)


def test_forgetting(server: Server):
    fetch(server.url)
    server.etag = '"2"'
    break_off(server)
    forget(server.url)
    assert not list(downloads_folder().iterdir())


def test_without_a_setting_downloads_go_to_the_cache(monkeypatch: pytest.MonkeyPatch):
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
        fetch(url, should_stop=wish)
    return time.monotonic() - wished[0]


@pytest.mark.parametrize("every_s", [0.05, 3.0])
def test_a_download_that_drips_is_stopped_at_once(server: Server, every_s: float):
    server.drips_every_s = every_s
    asked = threading.Event()
    threading.Timer(0.5, asked.set).start()
    began = time.monotonic()
    assert stopped_after(server.url, asked) < 0.5
    assert time.monotonic() - began < 1.5
    (part,) = downloads_folder().glob("*.part/data")
    assert server.content.startswith(part.read_bytes())
    server.drips_every_s = None
    assert fetch(server.url).read_bytes() == server.content


@pytest.mark.parametrize("there", [False, True], ids=["new", "asked whether it is still the same"])
def test_a_server_that_takes_the_call_and_says_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, there: bool
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip"
        if there:
            downloads_folder().mkdir()
            download_of(url).write_bytes(b"earlier")
        asked = threading.Event()
        threading.Timer(0.3, asked.set).start()
        assert stopped_after(url, asked) < 0.5


def test_an_address_that_cannot_be_connected_to(monkeypatch: pytest.MonkeyPatch):
    """As where packets are lost, or the look-up of a name takes its time."""
    over = threading.Event()
    monkeypatch.setattr("requests.get", lambda *_, **__: over.wait(30))
    asked = threading.Event()
    threading.Timer(0.3, asked.set).start()
    assert stopped_after("http://192.0.2.1/a.zip", asked) < 0.5
    over.set()


def hears_ctrl_c() -> None:
    """What is started in the background, as these tests may be, does not hear it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_key_interrupts_where_nobody_asks(server: Server):
    """Used from Python, without a stop condition."""
    server.drips_every_s = 3.0
    code = f"from napari_deepz.models.download import fetch; fetch({server.url!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL, preexec_fn=hears_ctrl_c
    )
    while not server.sent:
        time.sleep(0.05)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) != 0
    assert time.monotonic() - began < 2
    assert [path.read_bytes() for path in downloads_folder().glob("*.part/data")] == [
        server.content[:1]
    ]


def test_the_servers_own_words_are_made_harmless(server: Server):
    server.status, server.reason = 404, "Gone\x1b]0;owned\x07 \x9b2J"
    with pytest.raises(ModelError, match=r"answers 404 Gone\\x1b\]0;owned\\x07 \\x9b2J; check"):
        fetch(server.url)


def grow_old(path: Path, days: float) -> None:
    changed = time.time() - days * 24 * 3600
    for each in (*(path.iterdir() if path.is_dir() else ()), path):
        os.utime(each, (changed, changed))


def test_what_nobody_used_for_a_week_is_deleted_whatever_its_address(server: Server):
    break_off(server)
    whole = fetch(server.url + "&other")
    (part,) = downloads_folder().glob("*.part")
    notes = downloads_folder() / "notes.txt"
    notes.write_text("not a download")
    for path in (part, whole, notes):
        grow_old(path, 6.9)
    clear_downloads()
    assert part.exists()
    assert whole.exists()
    for path in (part, whole, notes):
        grow_old(path, 7.1)
    clear_downloads()
    assert os.listdir(downloads_folder()) == ["notes.txt"]


def test_use_keeps_a_download(server: Server):
    whole = fetch(server.url, server.sha256)
    grow_old(whole, 6.9)
    fetch(server.url, server.sha256)
    assert time.time() - whole.stat().st_mtime < 60


def test_no_more_is_kept_than_one_download_may_have(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kept_downloads, "MOST_BYTES", 2 * SIZE + 100_000)
    paths = [fetch(f"{server.url}&{number}") for number in range(3)]
    for age, path in enumerate(reversed(paths)):
        grow_old(path, age)
    clear_downloads()
    assert [path.exists() for path in paths] == [False, True, True]
    assert not version_of(paths[0]).exists()
    grow_old(version_of(paths[1]), 30)
    clear_downloads()
    assert version_of(paths[1]).exists()


@pytest.mark.skipif(os.name == "nt", reason="Unix alone kills a process at once")
def test_a_killed_download_goes_on_at_once_and_a_living_one_is_left_alone(server: Server):
    server.breaks_after, server.drips_every_s = 3, 0.01
    server.says_length_of = SIZE
    code = f"""
import time
from napari_deepz.models.download import fetch

def wait(progress):
    if progress.done == 3:
        print(3, flush=True)
        time.sleep(60)

fetch({server.url!r}, on_progress=wait)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == b"3\n"
        (left,) = downloads_folder().glob("*.part-*")
        grow_old(left, 30)
        clear_downloads()
        assert left.exists()
        process.kill()
    grow_old(left, 0)
    server.breaks_after = server.says_length_of = server.drips_every_s = None
    assert fetch(server.url).read_bytes() == server.content
    assert [answer[0] for answer in server.sent] == [200, 206]
    assert files() == [path.name for path in downloads_folder().glob("*tiny.zip")]
