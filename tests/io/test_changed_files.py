"""Files that change after they were opened: a sentence, never other pixels, never a crash."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_deepz.images import ImageFileError
from napari_deepz.io.reading import read_image
from tests.io.ome_sets import Image, Part, ome_xml, write_tiff
from tests.io.samples import STACK, write_imagej

KINDS: dict[str, dict[str, Any]] = {
    "plain.tif": {"photometric": "minisblack", "metadata": None},
    "strips.tif": {"photometric": "minisblack", "metadata": None, "rowsperstrip": 7},
    "tiles.tif": {"photometric": "minisblack", "metadata": None, "tile": (16, 16)},
    "zip.tif": {"photometric": "minisblack", "compression": "zlib"},
    "a.ome.tif": {"metadata": {"axes": "ZYX"}},
    "big.tif": {"photometric": "minisblack", "bigtiff": True, "byteorder": ">"},
}
CHANGED = "was changed after it was opened: open it again"


@pytest.fixture(params=[*KINDS, "imagej.tif"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / request.param
    if request.param == "imagej.tif":
        write_imagej(path, STACK, axes="ZYX")
    else:
        tifffile.imwrite(path, STACK, **KINDS[request.param])
    return path


def change(path: Path, how: Any) -> None:
    content = path.read_bytes()
    if how == "cut":
        os.truncate(path, len(content) // 3)
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "written anew in place":
        path.write_bytes(bytes(len(content)))
    elif how == "replaced by one of the same length":
        beside = path.with_name("beside")
        beside.write_bytes(content[::-1])
        times = path.stat()
        os.utime(beside, ns=(times.st_atime_ns, times.st_mtime_ns))
        os.replace(beside, path)
    elif how == "grown":
        path.write_bytes(content + b"more")


@pytest.mark.parametrize(
    "how",
    ["cut", "emptied", "written anew in place", "replaced by one of the same length", "grown"],
)
def test_a_file_that_changed_is_said(path: Path, how: str) -> None:
    series = read_image(path)
    np.testing.assert_array_equal(series.plane(z=1), STACK[1])
    change(path, how)
    for ask in (lambda: series.plane(z=1), lambda: series.stack(), lambda: np.asarray(series.data)):
        with pytest.raises(ImageFileError, match=f"'{path.name}' {CHANGED}"):
            ask()


def test_a_file_that_was_moved_is_said(path: Path) -> None:
    series = read_image(path)
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(ImageFileError, match=f"'{path.name}' was moved or deleted after it was"):
        series.plane(z=1)
    path.with_name("elsewhere").rename(path)
    np.testing.assert_array_equal(series.plane(z=1), STACK[1])


def test_another_file_of_the_set_that_changed_is_named(tmp_path: Path) -> None:
    parts = [Part(f"z{z}.ome.tif", f"urn:uuid:{z}", first={"Z": z}) for z in range(2)]
    for z in range(2):
        xml = ome_xml([Image(parts, {"Z": 2})], f"urn:uuid:{z}")
        write_tiff(tmp_path / f"z{z}.ome.tif", STACK[z : z + 1], xml)
    series = read_image(tmp_path / "z0.ome.tif")
    change(tmp_path / "z1.ome.tif", "cut")
    np.testing.assert_array_equal(series.plane(z=0), STACK[0])
    with pytest.raises(ImageFileError, match=f"'z1.ome.tif' {CHANGED}"):
        series.plane(z=1)


def test_a_file_written_anew_in_place_does_not_end_the_program(tmp_path: Path) -> None:
    """A file mapped into memory ends it with a bus error, which nothing can catch."""
    code = """
        import os, sys
        import numpy as np, tifffile
        from napari_deepz.io.reading import read_image
        tifffile.imwrite("a.tif", np.ones((20, 512, 512), np.uint16), photometric="minisblack")
        series = read_image("a.tif")
        os.truncate("a.tif", 4096)
        try:
            series.stack()
        except ValueError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, f"'a.tif' {CHANGED}.")
