"""What the dock has to say about the present settings, before anything is computed."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import PushButton

from napari_deepz.widgets.refocusing.image_form import ImageForm
from napari_deepz.widgets.refocusing.models.model_form import ModelForm
from napari_deepz.widgets.refocusing.session import (
    cautions_for,
    image_facts,
    model_facts,
    result_facts,
)
from napari_deepz.widgets.refocusing.surfaces.surface_form import SurfaceForm
from napari_deepz.widgets.shared.forms import Rows, Section, side_by_side
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.plain_text import PlainLabel
from napari_deepz.widgets.shared.remembering import PLUGIN
from napari_deepz.widgets.shared.results import results_in, shown_depth_um

_SAMPLES = {"Simulated worm": "worm", "Tilted beads": "tilted_beads"}
_NO_IMAGE = "Open an image (File > Open Files…), or try a sample:"
_NO_MODEL = "No model is at hand: use Open model… to choose a model package."


class Facts:
    """Texts about image, model and result, what to be careful about, and samples to try.

    What is known about the model is folded away until it is asked for, or there is no model.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose results are counted.
    image, model, surface
        The forms.
    """

    def __init__(
        self, viewer: Any, image: ImageForm, model: ModelForm, surface: SurfaceForm
    ) -> None:
        self._viewer = viewer
        self._image, self._model, self._surface = image, model, surface
        self.image, self.model, self.result, self.cautions, self.shown = (
            PlainLabel() for _ in range(5)
        )
        self.sample_buttons = [self._sample_button(text) for text in _SAMPLES]
        self.samples = Rows(side_by_side(*self.sample_buttons))
        self.about_model = Section("What it was made for", self.model, folded=True)

    def _sample_button(self, text: str) -> PushButton:
        button = PushButton(text=text, tooltip="Open simulated data to try this on.")
        button.changed.connect(lambda _: self._viewer.open_sample(PLUGIN, _SAMPLES[text]))
        return button

    def review(self) -> None:
        """Write all texts anew."""
        spec, has_image = self._model.spec, self._image.layer is not None
        image_text, result_text, cautions = "" if has_image else _NO_IMAGE, "", []
        if has_image and spec is not None:
            try:
                plane = self._image.plane()
                image_text = image_facts(plane)
                surface, notes = self._surface.surface(self._image)
                pixel_size_um = plane.pixel_size_um or self._image.pixel_size.value
                cautions = [*notes, *cautions_for(surface, plane, pixel_size_um, spec)]
                result_text = result_facts(surface, plane.shape)
            except ValueError as error:
                cautions = [str(error)]
        self.image.setText(image_text)
        self.samples.setVisible(not has_image)
        self.model.setText(model_facts(spec) if spec is not None else self._no_model())
        self.model.setToolTip(spec.description if spec is not None else "")
        if spec is None:
            self.about_model.folded = False
        self.result.setText(result_text)
        self.cautions.setText("\n".join(f"⚠ {caution}" for caution in cautions))
        self.cautions.setVisible(bool(cautions))
        results = results_in(self._viewer)
        shown_um = shown_depth_um(results[-1], View.of(self._viewer)) if results else None
        self.shown.setText("" if shown_um is None else f"Shown: z = {shown_um:g} µm")
        for text in (self.image, self.result, self.shown):
            text.setVisible(bool(text.text()))

    def _no_model(self) -> str:
        package = self._model.package
        return _NO_MODEL if package is None else f"The model in {package} is not there any more."
