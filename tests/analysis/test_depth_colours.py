"""Colours say the depth of what is brightest, brightness says how bright it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from napari_deepz.analysis.depth_colours import (
    COLOURS,
    depth_coded_projection,
    write_depth_coded_projection,
)

Z_UM = (-4.0, -2.0, 0.0, 2.0, 4.0)


def two_spots() -> np.ndarray:
    stack = np.zeros((5, 20, 30))
    stack[0, 5, 6] = 100
    stack[3, 12, 20] = 50
    return stack


def test_the_colour_is_that_of_the_depth_and_the_brightness_that_of_the_value():
    picture = depth_coded_projection(two_spots(), Z_UM, limits=(0, 100))
    first, fourth = colormaps[COLOURS]([0.0, 0.75])[:, :3]
    np.testing.assert_allclose(picture[5, 6], first, rtol=1e-6)
    np.testing.assert_allclose(picture[12, 20], 0.5 * fourth, rtol=1e-6)
    picture[5, 6] = picture[12, 20] = 0
    assert not picture.any()


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_even_stack_is_drawn_without_a_fault(value):
    picture = depth_coded_projection(np.full((5, 8, 9), value), Z_UM)
    assert picture.shape == (8, 9, 3)
    assert np.isfinite(picture).all()


def test_planes_and_depths_must_match():
    with pytest.raises(ValueError, match="one depth for each plane"):
        depth_coded_projection(two_spots(), (0.0, 1.0))


def test_the_picture_says_what_it_is(tmp_path: Path):
    path = tmp_path / "depth µm.png"
    write_depth_coded_projection(
        path, two_spots(), Z_UM, pixel_size_um=0.5, caption="INFERRED by a model", limits=(0, 100)
    )
    with Image.open(path) as picture:
        assert picture.text["Description"] == "INFERRED by a model"
        colours = {pixel[:3] for _, pixel in picture.convert("RGB").getcolors(1 << 24)}
    first = tuple(np.rint(255 * np.array(colormaps[COLOURS](0.0)[:3])).astype(int).tolist())
    assert any(np.abs(np.subtract(colour, first)).max() <= 1 for colour in colours)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_picture(tmp_path: Path):
    path = tmp_path / "depth.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="one depth"):
        write_depth_coded_projection(
            path, two_spots(), (0.0,), pixel_size_um=0.5, caption="INFERRED"
        )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
