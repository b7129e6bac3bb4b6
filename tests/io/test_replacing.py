"""What may be replaced: former results of the same kind, and never an input."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from napari_deepz.io.reading import read_image, read_provenance
from napari_deepz.io.replacing import require_no_input, require_replaceable
from napari_deepz.provenance import RECORD_KEY, Provenance
from tests.io.stacks import BOTH, STACK, write

NOT_OURS = "exists and was not made by napari-deepz; choose another output name"


@pytest.fixture(autouse=True)
def _zarr(request: pytest.FixtureRequest) -> None:
    if "name" in request.fixturenames and "zarr" in request.getfixturevalue("name"):
        pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")


def content(path: Path) -> list[Any]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [(file.name, file.read_bytes()) for file in files]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("there", "wanted", "holds"),
    [
        ("simulated", "inferred", "a simulated stack"),
        ("measured", "inferred", "a measured image"),
        ("measured", "measured", "a measured image"),
        ("inferred", "simulated", "inferred planes"),
    ],
)
def test_another_kind_is_never_replaced(
    tmp_path: Path, name: Any, there: str, wanted: str, holds: str
) -> None:
    write(tmp_path / name, provenance=Provenance(kind=there))
    before = content(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}' exists and holds {holds}, which would be lost"):
        write(tmp_path / name, STACK + 1, provenance=Provenance(kind=wanted))
    assert content(tmp_path / name) == before


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("kind", ["inferred", "simulated"])
def test_the_same_kind_is_replaced(tmp_path: Path, name: Any, kind: str) -> None:
    write(tmp_path / name, provenance=Provenance(kind=kind))
    write(tmp_path / name, STACK + 1, provenance=Provenance(kind=kind))
    np.testing.assert_array_equal(read_image(tmp_path / name).stack(), STACK + 1)


def foreign_files(folder: Path) -> None:
    tifffile.imwrite(folder / "camera.ome.tif", STACK, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "plain.tif", STACK[0])
    (folder / "notes.tif").write_text("not an image")
    (folder / "empty.tif").touch()
    write(folder / "damaged.ome.tif")
    damaged = (folder / "damaged.ome.tif").read_bytes()
    (folder / "damaged.ome.tif").write_bytes(damaged.replace(b'"inferred"', b'"inferned"'))
    write(folder / "cut.ome.tif")
    os.truncate(folder / "cut.ome.tif", 3000)
    Image.fromarray(STACK[0].astype(np.uint8)).save(folder / "picture.png")
    (folder / "text.png").write_text("not a picture")
    (folder / "folder.png").mkdir()


def test_what_others_made_or_nobody_can_read_is_never_replaced(tmp_path: Path) -> None:
    foreign_files(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        before = content(path)
        with pytest.raises(ValueError, match=NOT_OURS):
            require_replaceable(path, "inferred")
        if path.suffix == ".tif":
            with pytest.raises(ValueError, match=NOT_OURS):
                write(path)
        assert content(path) == before


def test_a_zarr_of_others_is_never_replaced(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    zarr.create_group(tmp_path / "a.ome.zarr")
    with pytest.raises(ValueError, match=NOT_OURS):
        write(tmp_path / "a.ome.zarr")
    write(tmp_path / "b.ome.zarr")
    about = (tmp_path / "b.ome.zarr" / "zarr.json").read_text()
    (tmp_path / "b.ome.zarr" / "zarr.json").write_text(about.replace("inferred", "guessed"))
    with pytest.raises(ValueError, match=NOT_OURS):
        write(tmp_path / "b.ome.zarr")


@pytest.mark.parametrize("added", ["notes.txt", "labels/cells", "1"])
def test_what_was_added_to_our_zarr_is_not_lost(tmp_path: Path, added: str) -> None:
    pytest.importorskip("zarr", reason="needs the extra napari-deepz[zarr]")
    path = tmp_path / "a.ome.zarr"
    write(path)
    (path / ".DS_Store").touch()
    write(path, STACK + 1)
    (path / added).parent.mkdir(exist_ok=True)
    (path / added).write_text("a day's work")
    with pytest.raises(ValueError, match=f"holds '{added.split('/')[0]}', which would be lost"):
        write(path)
    assert (path / added).read_text() == "a day's work"


def test_our_pictures_are_known_by_their_record(tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text(RECORD_KEY, Provenance(kind="inferred").to_json())
    Image.new("L", (4, 4)).save(tmp_path / "a.png", pnginfo=text)
    assert read_provenance(tmp_path / "a.png").kind == "inferred"
    require_replaceable(tmp_path / "a.png", "inferred")
    text = PngInfo()
    text.add_text(RECORD_KEY, "{}")
    Image.new("L", (4, 4)).save(tmp_path / "b.png", pnginfo=text)
    with pytest.raises(ValueError, match=NOT_OURS):
        require_replaceable(tmp_path / "b.png", "inferred")


@pytest.mark.skipif(os.name == "nt", reason="Unix alone has such files")
@pytest.mark.timeout(20)
def test_what_is_neither_file_nor_folder_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ome.tif")
    with pytest.raises(ValueError, match="is neither a file nor a folder"):
        write(tmp_path / "pipe.ome.tif")
    (tmp_path / "null.tif").symlink_to("/dev/null")
    with pytest.raises(ValueError, match="is neither a file nor a folder"):
        write(tmp_path / "null.tif")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "worm.ome.tif"
    path.write_bytes(b"pixels")
    return path


def _refused(output: Any, given: Any, where: Any) -> None:
    with pytest.raises(ValueError, match=rf"^The output '.*' {where} .*choose another output name"):
        require_no_input([output], [given])


def test_an_input_is_never_an_output_however_it_is_called(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refused(image, image, "is the input")
    monkeypatch.chdir(tmp_path)
    for name in ("data/worm.ome.tif", "./data/../data/worm.ome.tif", "data//worm.ome.tif"):
        _refused(tmp_path / name, image, "is the input")
        _refused(image, type(image)(name), "is the input")


@pytest.mark.skipif(os.name == "nt", reason="Windows asks for rights to make links")
def test_links_lead_to_the_input_too(image: Path, tmp_path: Path) -> None:
    (tmp_path / "soft.tif").symlink_to(image)
    os.link(image, tmp_path / "hard.tif")
    (tmp_path / "chain.tif").symlink_to("soft.tif")
    (tmp_path / "elsewhere").symlink_to(image.parent)
    for output in ("soft.tif", "hard.tif", "chain.tif", "elsewhere/worm.ome.tif"):
        _refused(tmp_path / output, image, "is the input")
        _refused(image, tmp_path / output, "is the input")


def test_another_case_is_the_same_file_where_the_system_says_so(image: Path) -> None:
    other = image.with_name("WORM.ome.TIF")
    if other.exists():
        _refused(other, image, "is the input")
    else:
        require_no_input([other], [image])


def test_nothing_is_written_into_or_around_an_input(tmp_path: Path) -> None:
    stack = tmp_path / "stack.ome.zarr"
    (stack / "0").mkdir(parents=True)
    _refused(stack, stack, "is the input")
    _refused(stack / "out.tif", stack, "would lie inside the input")
    _refused(stack / "0" / "deep" / "out.tif", stack, "would lie inside the input")
    _refused(stack, stack / "0", "would replace the folder in which the input")
    require_no_input([tmp_path / "stack.ome.zarr.tif", tmp_path / "other"], [stack])


@pytest.mark.skipif(os.name == "nt", reason="Windows asks for rights to make links")
def test_a_link_into_an_input_is_followed(tmp_path: Path) -> None:
    stack = tmp_path / "stack.ome.zarr"
    (stack / "0").mkdir(parents=True)
    (tmp_path / "link").symlink_to(stack / "0")
    (tmp_path / "dangling.tif").symlink_to(stack / "0" / "new.tif")
    _refused(tmp_path / "link" / "out.tif", stack, "would lie inside the input")
    _refused(tmp_path / "dangling.tif", stack, "would lie inside the input")


def test_what_is_not_there_is_no_input(image: Any) -> None:
    name = image.with_name("new.tif")
    require_no_input([name, image.with_name("other.tif")], [name, image])
    copy = Path(shutil.copy(image, image.with_name("copy.tif")))
    require_no_input([copy], [image])
