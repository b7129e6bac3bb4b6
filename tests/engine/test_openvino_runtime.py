"""The published U-Net through OpenVINO gives PyTorch's pixels."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.devices import Precision
from napari_deepz.engine.refocus import EncodedImage, refocus
from napari_deepz.surfaces import Flat, Tilted
from tests.engine.fake_generators import PIXEL_SIZE_UM
from tests.engine.test_architectures import random_model, spots

SURFACES = [Flat(-3, 3, 3), Tilted(2, 1)]


def difference(
    image: np.ndarray, *, precision: Precision = "float32", tile_px: int | None = None
) -> float:
    """Largest difference from PyTorch in float32, as a share of the range."""
    model = random_model("paper")
    expected = refocus(image, SURFACES, model, pixel_size_um=PIXEL_SIZE_UM)
    compute = Compute(runtime="openvino", precision=precision)
    found = refocus(
        image, SURFACES, model, pixel_size_um=PIXEL_SIZE_UM, compute=compute, tile_px=tile_px
    )
    assert found.device.startswith(f"{expected.device}, OpenVINO")
    return float(np.abs(found.data - expected.data).max() / np.ptp(expected.data))


def test_pixels_are_those_of_pytorch() -> None:
    pytest.importorskip("openvino", reason="needs the extra napari-deepz[openvino]")
    assert difference(spots((100, 140))) < 1e-5


def test_fewer_digits_change_little() -> None:
    pytest.importorskip("openvino", reason="needs the extra napari-deepz[openvino]")
    assert 0 < difference(spots((100, 140)), precision="bfloat16") < 2e-2


def test_tiles_of_several_sizes_are_computed() -> None:
    pytest.importorskip("openvino", reason="needs the extra napari-deepz[openvino]")
    assert difference(spots((500, 700)), tile_px=256) < 1e-5


@pytest.mark.parametrize(
    ("architecture", "settings", "sentence"),
    [
        ("z basis", {"runtime": "openvino"}, "for models of the published U-Net only"),
        (
            "paper",
            {"runtime": "tensorrt"},
            "is 'tensorrt'; input should be 'pytorch' or",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_in_a_sentence(
    architecture: str, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        EncodedImage(spots((64, 64)), random_model(architecture), compute=Compute(**settings))


def test_where_it_is_not_installed_a_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    image = EncodedImage(
        spots((64, 64)),
        random_model("paper"),
        pixel_size_um=PIXEL_SIZE_UM,
        compute=Compute(runtime="openvino"),
    )
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'napari-deepz\[openvino\]'"):
        image.refocus(Flat(1))
