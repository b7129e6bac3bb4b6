"""A name that is a link: the stack goes where it leads."""

import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_deepz.io.reading import read_image
from tests.io.stacks import BOTH, STACK, write

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows asks for rights to make links")


@pytest.fixture(autouse=True)
def _zarr(request: pytest.FixtureRequest) -> None:
    if "zarr" in request.getfixturevalue("name"):
        pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")


@pytest.fixture
def linked(tmp_path: Path, name: str) -> Any:
    """A link in one folder and the place in another where it leads, which is empty."""
    (tmp_path / "here").mkdir()
    (tmp_path / "disk").mkdir()
    link, real = tmp_path / "here" / name, tmp_path / "disk" / f"real-{name}"
    link.symlink_to(real)
    return link, real


def names(folder: Path) -> list[Any]:
    return [entry.name for entry in folder.iterdir()]


@pytest.mark.parametrize("name", BOTH)
def test_a_stack_is_made_and_replaced_where_the_link_leads(linked: Any, name: Any) -> None:
    link, real = linked
    for planes in (STACK, STACK + 1):
        write(link, planes)
        assert link.is_symlink()
        np.testing.assert_array_equal(read_image(real).stack(), planes)
        np.testing.assert_array_equal(read_image(link).stack(), planes)
        assert (names(link.parent), names(real.parent)) == ([name], [real.name])


@pytest.mark.parametrize("name", BOTH)
def test_the_room_that_counts_is_where_the_link_leads(
    linked: Any, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    link, real = linked
    usage = namedtuple("usage", "total used free")
    free = {link.parent: 10**12, real.parent: 10**3}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**12, 0, free[folder]))
    with pytest.raises(OSError, match=rf"only 1e-06 GB are free in '{real.parent}': make room"):
        write(link)
    assert names(real.parent) == []
    free[link.parent], free[real.parent] = 10**3, 10**12
    write(link)
    assert names(real.parent) == [real.name]


@pytest.mark.parametrize("name", BOTH)
def test_links_that_lead_nowhere(tmp_path: Path, name: Any) -> None:
    link = tmp_path / name
    link.symlink_to(tmp_path / "gone" / name)
    with pytest.raises(FileNotFoundError, match=rf"There is no folder '.*gone' to write '{name}'"):
        write(link)
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(OSError, match="is a link that leads in a circle: choose another name"):
        write(link)
    link.unlink()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("three years of work")
    link.symlink_to("folder")
    with pytest.raises(ValueError, match="choose another name"):
        write(link)
    assert names(tmp_path / "folder") == ["thesis.txt"]


@pytest.mark.parametrize("name", BOTH)
def test_what_others_made_is_not_replaced_through_a_link(linked: Any, name: Any) -> None:
    link, real = linked
    if name.endswith("tif"):
        real.write_bytes(b"theirs")
    else:
        real.mkdir()
        (real / "zarr.json").write_text("{}")
    with pytest.raises(ValueError, match="exists and was not made by napari-deepz"):
        write(link)
    assert link.is_symlink()
    assert names(real.parent) == [real.name]


@pytest.mark.parametrize("name", BOTH)
def test_a_failure_leaves_the_link_and_what_it_leads_to(linked: Any, name: Any) -> None:
    link, real = linked
    write(link)
    with pytest.raises(ValueError, match="only 2 of its 6 planes were made"):
        write(link, STACK[:2])
    assert link.is_symlink()
    np.testing.assert_array_equal(read_image(real).stack(), STACK)
    assert names(real.parent) == [real.name]
