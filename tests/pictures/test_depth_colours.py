"""Colours say the depth of what is brightest, brightness says how bright it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image
from scipy.ndimage import label

from napari_deepz.pictures.depth_colours import (
    COLOURS,
    depth_coded_projection,
    write_depth_coded_projection,
)
from napari_deepz.provenance import RECORD_KEY, Provenance

Z_UM = (-4.0, -2.0, 0.0, 2.0, 4.0)


def two_spots() -> np.ndarray:
    stack = np.zeros((5, 20, 30))
    stack[0, 5, 6] = 100
    stack[3, 12, 20] = 50
    return stack


def test_the_colour_is_that_of_the_depth_and_the_brightness_that_of_the_value() -> None:
    picture = depth_coded_projection(two_spots(), Z_UM, limits=(0, 100))
    first, fourth = colormaps[COLOURS]([0.0, 0.75])[:, :3]
    np.testing.assert_allclose(picture[5, 6], first, rtol=1e-6)
    np.testing.assert_allclose(picture[12, 20], 0.5 * fourth, rtol=1e-6)
    picture[5, 6] = picture[12, 20] = 0
    assert not picture.any()


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_even_stack_is_drawn_without_a_fault(value: float) -> None:
    picture = depth_coded_projection(np.full((5, 8, 9), value), Z_UM)
    assert picture.shape == (8, 9, 3)
    assert np.isfinite(picture).all()


def test_planes_that_come_one_by_one_give_the_same_as_the_stack(rng: np.random.Generator) -> None:
    stack = rng.integers(0, 5, (5, 20, 30)).astype(np.float32)
    whole = depth_coded_projection(stack, Z_UM, limits=(0, 4))
    np.testing.assert_array_equal(
        depth_coded_projection((plane for plane in stack), Z_UM, limits=(0, 4)), whole
    )
    shades = colormaps[COLOURS](np.linspace(0, 1, 5))[:, :3]
    expected = shades[stack.argmax(axis=0)] * (stack.max(axis=0) / 4)[..., None]
    np.testing.assert_allclose(whole, expected, rtol=1e-6)


@pytest.mark.parametrize("planes", [two_spots(), two_spots()[:0], two_spots()[0]])
def test_planes_and_depths_must_match(planes: Any) -> None:
    with pytest.raises(ValueError, match="one depth for each plane"):
        depth_coded_projection(planes, (0.0, 1.0))


def write(path: Path, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "planes": two_spots(),
        "z_um": Z_UM,
        "pixel_size_um": 0.5,
        "caption": "INFERRED by a model",
        "provenance": Provenance(kind="inferred", model_name="a model"),
        "limits": (0, 100),
    }
    write_depth_coded_projection(path, **(settings | changes))


def test_the_picture_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "depth µm.png"
    record = Provenance(kind="inferred", model_name="a model")
    write(path, provenance=record)
    with Image.open(path) as picture:
        assert Provenance.from_json(picture.text[RECORD_KEY]) == record  # type: ignore[attr-defined]
        assert picture.text["Description"] == record.describe()  # type: ignore[attr-defined]
        colours = {pixel[:3] for _, pixel in picture.convert("RGB").getcolors(1 << 24)}  # type: ignore[index]
    first = tuple(np.rint(255 * np.array(colormaps[COLOURS](0.0)[:3])).astype(int).tolist())
    assert any(np.abs(np.subtract(colour, first)).max() <= 1 for colour in colours)
    assert list(tmp_path.iterdir()) == [path]


def test_the_caption_is_seen(tmp_path: Path) -> None:
    for name, caption in (("with", "INFERRED by a model"), ("without", "")):
        write(tmp_path / f"{name}.png", caption=caption)
    pixels = [
        np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))[:40]
        for name in ("with", "without")
    ]
    assert (pixels[0] < 100).sum() > 200
    assert (pixels[1] < 100).sum() == 0


@pytest.mark.parametrize("caption", ["a $ b", "$x_1$", "\\frac$ {", "$\\nonsense{$"])
def test_a_caption_is_no_formula(tmp_path: Path, caption: str) -> None:
    """A name with dollars in it is drawn as it is written."""
    for name, said in (("as it is", caption), ("shorter", caption.replace("$", ""))):
        write(tmp_path / f"{name}.png", caption=said)
    widths = []
    for name in ("as it is", "shorter"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            dark = (np.asarray(picture.convert("L"))[:40] < 100).any(axis=0)
        widths.append(np.ptp(np.flatnonzero(dark)))
    assert widths[0] > widths[1] + 5


@pytest.mark.parametrize("name", ["lone \udcfc", "high \ud800", "bell \x07 nul \x00", "\u202eevil"])
def test_a_caption_of_any_text(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.png", caption=f"{name}\nINFERRED")
    with Image.open(tmp_path / "a.png") as picture:
        assert (np.asarray(picture.convert("L"))[:40] < 100).sum() > 100


def test_a_full_disk_is_one_sentence_and_leaves_the_former_picture(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Unix alone limits a process")
    write(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
        with pytest.raises(
            OSError, match=r"^'a.png' could not be written, nothing is left of it: "
        ):
            write(tmp_path / "a.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "a.png").read_bytes() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]


@pytest.mark.parametrize("shape", [(1600, 200), (200, 3100), (6000, 200)])
def test_no_spot_of_a_large_stack_is_lost(tmp_path: Path, shape: tuple[int, ...]) -> None:
    stack = np.zeros((3, *shape), np.float32)
    stack[1, 10::20, 10::20] = 1
    write(tmp_path / "large.png", planes=stack, z_um=(0.0, 1.0, 2.0), limits=(0, 1))
    with Image.open(tmp_path / "large.png") as picture:
        colours = np.asarray(picture.convert("RGB")).astype(int)
    spots = label(colours[..., 1] - colours[..., 2] > 5, np.ones((3, 3)))[1]
    colour_bar = 1
    assert spots == np.count_nonzero(stack) + colour_bar


def test_a_failed_write_leaves_the_old_picture(tmp_path: Path) -> None:
    path = tmp_path / "depth.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="one depth"):
        write(path, z_um=(0.0,))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Unix alone limits a process")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError, match=r"'depth.png' could not be written, nothing is left"):
            write(tmp_path / "depth.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
