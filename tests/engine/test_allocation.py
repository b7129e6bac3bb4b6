"""Memory kept while a network runs is handed back afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from napari_deepz.engine import allocation
from napari_deepz.engine.allocation import reused_memory

MIB = 1 << 20

on_glibc = pytest.mark.skipif(allocation._glibc() is None, reason="needs glibc")


class Recorder:
    """A C library that notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def mallopt(self, *setting: int) -> None:
        self.calls.append(setting)

    def malloc_trim(self, pad: int) -> None:
        self.calls.append((pad,))


def faults() -> int:
    """Pages that this process had to ask the system for, so far."""
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[7])


def layers() -> None:
    for _ in range(20):
        torch.ones(16 * MIB // 4)


@on_glibc
def test_blocks_are_used_again_inside_and_handed_back_after() -> None:
    process = psutil.Process()
    with reused_memory():
        layers()
        before = faults()
        layers()
        inside = faults() - before
        kept = process.memory_info().rss
    assert inside < 20 * 16 * MIB / 4096 / 10  # A tenth of the pages, had each been new.
    assert process.memory_info().rss < kept + MIB


def test_settings_change_with_the_first_and_back_with_the_last_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    libc = Recorder()
    monkeypatch.setattr(allocation, "_glibc", lambda: libc)
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with reused_memory():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with reused_memory():
        thread.start()
        assert inside.wait(10)
    assert libc.calls == [(-4, 0), (-1, 2**31 - 1)]
    leave.set()
    thread.join()
    assert libc.calls[2:] == [(-4, 65536), (-1, 131072), (0,)]


def test_settings_go_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    libc = Recorder()
    monkeypatch.setattr(allocation, "_glibc", lambda: libc)
    with pytest.raises(RuntimeError), reused_memory():
        raise RuntimeError
    assert len(libc.calls) == 5


def test_elsewhere_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "_glibc", lambda: None)
    with reused_memory():
        assert np.ones(3).sum() == 3
