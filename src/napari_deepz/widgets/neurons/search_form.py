"""The form in which the user says how neurons are looked for."""

from __future__ import annotations

from magicgui.widgets import ComboBox, FloatSpinBox

from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.library import list_models
from napari_deepz.neurons.field import USUAL_DEPTH_UM, Follow
from napari_deepz.widgets.neurons.neurons_task import Search
from napari_deepz.widgets.shared.forms import Rows

_FOLLOWED: dict[str, Follow] = {
    "Not followed": "none",
    "Sideways, as a whole": "shift",
    "Bending, turning and along z too": "bend",
}


class SearchForm:
    """Model, depth of the sample, and whether that moves.

    Attributes
    ----------
    widget : Rows
        What to put into a window.
    """

    def __init__(self) -> None:
        self.model = ComboBox(
            label="Model",
            choices=lambda _: [*list_models()],
            tooltip="What refocuses the typical frame, in which neurons are looked for.",
        )
        self.depth = FloatSpinBox(
            label="Sample depth (µm)",
            value=USUAL_DEPTH_UM,
            min=0,
            max=1000,
            step=5,
            tooltip="How deep below the cover glass the sample lies: the aberration tells what is "
            "above the focus from what is below.",
        )
        self.follow = ComboBox(
            label="Motion",
            choices=[*_FOLLOWED],
            tooltip="Of a sample that moves, neurons are measured in each frame where they are "
            "then.",
        )
        self.widget = Rows(self.model, self.depth, self.follow)
        self.model.value = DEFAULT_MODEL

    def search(self) -> Search:
        """What is chosen."""
        return Search(self.model.value, self.depth.value, _FOLLOWED[self.follow.value])
