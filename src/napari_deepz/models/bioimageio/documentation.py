"""What an exported package says and shows to people: its documentation and its cover."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_deepz.models.card import model_card
from napari_deepz.models.package import Model
from napari_deepz.models.proof import StoredTest

_COVER_HEIGHT_PX = 256

_NORMALISATIONS = {
    "signed-sqrt": (
        "the median of the image becomes 0 and its 99.5th percentile 1; then the square root of "
        "the magnitude is taken and the sign kept"
    ),
    "median-p99": (
        "the median of the image is subtracted, then all is divided by the 99th percentile of the "
        "pixels above the Triangle threshold"
    ),
    "mean-std": "the mean is subtracted, then all is divided by the standard deviation",
    "as-is": "nothing is changed",
}


def describe_model(model: Model, test: StoredTest) -> str:
    """Write the documentation of an exported model, in Markdown."""
    spec, network = model.spec, model.network
    card = "\n".join(f"| {label} | {_cell(text)} |" for label, text in model_card(spec))
    normalisation = _NORMALISATIONS.get(
        spec.normalisation,
        f"linearly, so that the two percentiles in '{spec.normalisation}' become 0 and 1",
    )
    low_um, high_um = spec.axial_range_um
    return f"""# {spec.name}

A network of the Deep-Z kind: from one wide-field fluorescence image and a digital propagation
matrix (DPM), which holds an axial distance in µm for every pixel, it predicts the image that the
microscope would have taken on that surface.

**The output is inferred, not measured.** The network fills in what it learned from its training
data; for other objectives, pixel sizes, samples or distances it may show structures that are not
there.

| | |
| --- | --- |
{card}

## Inputs and output

- `image`: one channel, normalised: {normalisation}. This is measured on the whole image, once.
- `dpm`: axial distance of the wanted surface from the image's plane for every pixel, in µm, from
  {low_um:g} to {high_um:g}; the same number everywhere gives a plane parallel to the image's.
- `refocused`: the image on that surface, on the scale of the normalised image; the inverse of the
  normalisation brings it back to the image's own units.

Height and width are multiples of {network.size_multiple} pixels. What is more than
{network.halo_px} pixels away does not change an output pixel, so tiles that overlap by twice this
and are cropped give the same result as the whole image.

## How to run it

With napari-deepz, which normalises, tiles, and brings intensities back:

    napari-deepz models add PACKAGE.zip
    napari-deepz refocus IMAGE.tif --model {spec.name}

The TorchScript weights run in every program that knows bioimage.io's models, with inputs
normalised as above.

## Validation

The test input is an image of {test.image.shape[0]} × {test.image.shape[1]} pixels on a surface
through the whole range; the test output is what the network gave for it. To validate the model on
your own data, record a focal stack, refocus one of its planes onto the others, and compare with
what was measured: `napari-deepz evaluate` does.
"""


def make_cover(test: StoredTest) -> bytes:
    """Draw the test input beside its output, as a PNG twice as wide as high."""
    side = min(test.image.shape)
    panels = [_grey(array[:side, :side]) for array in (test.image, test.output)]
    picture = Image.fromarray(np.hstack(panels))
    stream = io.BytesIO()
    size = (2 * _COVER_HEIGHT_PX, _COVER_HEIGHT_PX)
    picture.resize(size, Image.Resampling.NEAREST).save(stream, "PNG")
    return stream.getvalue()


def _grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = (values - low) / max(high - low, 1e-12)
    grey: NDArray[np.uint8] = (scaled.clip(0, 1) * 255).astype(np.uint8)
    return grey


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
