"""What the dock tells about the present settings, before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import PushButton

from napari_deepz.widgets.refocusing.resolving import Resolved
from napari_deepz.widgets.refocusing.texts import (
    image_facts,
    inputs_facts,
    model_facts,
    result_facts,
)
from napari_deepz.widgets.shared.forms import Rows, side_by_side
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.plain_text import PlainLabel
from napari_deepz.widgets.shared.remembering import PLUGIN
from napari_deepz.widgets.shared.results import is_inferred, results_in, shown_depth_um

_SAMPLES = {"Simulated worm": "worm", "Tilted beads": "tilted_beads"}
_NO_IMAGE = "Open an image (File > Open Files…), or try a sample:"
_ALL_INFERRED = "What is open was made by a network. Open a measured image, or try a sample:"
_NO_MODEL = "No model is at hand: use Open model… to choose a model package."


class Facts:
    """Texts about image, model and result, and samples to try.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose results are counted.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.image, self.model, self.result, self.shown = (PlainLabel() for _ in range(4))
        self.planes = PlainLabel()
        self.sample_buttons = [self._sample_button(text) for text in _SAMPLES]
        self.samples = Rows(side_by_side(*self.sample_buttons))

    def _sample_button(self, text: str) -> PushButton:
        button = PushButton(text=text, tooltip="Open simulated data to try this on.")
        button.changed.connect(lambda _: self._viewer.open_sample(PLUGIN, _SAMPLES[text]))
        return button

    def _about_image(self, resolved: Resolved) -> str:
        if resolved.layer is None:
            return _ALL_INFERRED if any(map(is_inferred, self._viewer.layers)) else _NO_IMAGE
        return image_facts(resolved.plane) if resolved.plane else ""

    def review(self, resolved: Resolved, *, package: Path | None) -> None:
        """Write all texts anew.

        Parameters
        ----------
        resolved : Resolved
            What the settings mean.
        package : Path or None
            Where the chosen model should lie.
        """
        model, request = resolved.model, resolved.request
        has_image = resolved.layer is not None
        self.image.setText(self._about_image(resolved))
        self.samples.setVisible(not has_image)
        self.model.setText(model_facts(model.spec) if model is not None else _no_model(package))
        self.model.setToolTip(model.spec.description if model is not None else "")
        self.result.setText(result_facts(request.surface, request.plane.shape) if request else "")
        self.planes.setText(inputs_facts(request) if request else "")
        results = results_in(self._viewer)
        shown_um = shown_depth_um(results[-1], View.of(self._viewer)) if results else None
        self.shown.setText("" if shown_um is None else f"Shown: z = {shown_um:g} µm")
        for text in (self.image, self.planes, self.result, self.shown):
            text.setVisible(bool(text.text()))


def _no_model(package: Path | None) -> str:
    return _NO_MODEL if package is None else f"The model in {package} is not there any more."
