"""The form in which the user says how an image and what is made of it are looked at."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, ComboBox, PushButton
from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QObject

from napari_deepz.widgets.refocusing.canvas_text import shown_of
from napari_deepz.widgets.refocusing.panes import Panes
from napari_deepz.widgets.shared.contrast import link_contrast, unlink_contrast
from napari_deepz.widgets.shared.flipping import FLIP_KEY, Flip
from napari_deepz.widgets.shared.forms import Rows, side_by_side
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.results import pictures_of

LINKED, OVER, BESIDE = "Side by side (linked)", "Over the image", "Beside the image"


class ViewForm:
    """Where results lie, whether they have the contrast of their image, and one at a time.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are arranged.
    parent : QObject
        With whose destruction the work ends.

    Attributes
    ----------
    changed : Signal
        Emitted when results are to lie elsewhere.
    widget : Rows
        What to put into a window.
    """

    changed = Signal()

    def __init__(self, viewer: Any, parent: QObject) -> None:
        self._viewer = viewer
        self._image: Image | None = None
        self.choice = ComboBox(
            label="View",
            choices=[LINKED, OVER, BESIDE],
            tooltip="Side by side: two panes that move and zoom as one (napari's grid), measured "
            "on the left, inferred on the right. Over: the inferred picture covers the image; "
            f"{FLIP_KEY} flips between them. Beside: to its right in one canvas.",
        )
        self.flip = PushButton(
            text=f"Flip ({FLIP_KEY})",
            tooltip="Show the measured image in place of the inferred picture, and back.",
        )
        self.same_contrast = CheckBox(
            text="Same contrast",
            value=True,
            tooltip="The inferred picture has the contrast and the gamma of the measured image.",
        )
        self._beneath: list[Image] = []
        self._before_flip = LINKED
        self.panes, self._flip = (
            Panes(viewer, parent),
            Flip(
                viewer,
                self.flip_now,
                on_end=self._end_flip,
                describe=lambda layer: shown_of(layer, View.of(viewer)),
                yields=True,
            ),
        )
        self.widget = Rows(self.choice, side_by_side(self.same_contrast, self.flip))
        self.choice.changed.connect(self._on_choice)
        self.flip.changed.connect(lambda _: self.flip_now())
        self.same_contrast.changed.connect(self._on_contrast)
        self.panes.left_by_user.connect(self._on_left)

    @property
    def beside(self) -> bool:
        """Whether what is inferred lies to the right of its image, in the world."""
        return bool(self.choice.value == BESIDE)

    def show(self, image: Image | None) -> None:
        """Arrange the layers for an image."""
        if image is not self._image:
            self._stop_flip()
        self._image = image
        self._flip.claim_key()
        if self.choice.value == LINKED:
            self.panes.show(image)
        if not self.same_contrast.value:
            self._on_contrast(same=False)
        self.flip.enabled = bool(self._pictures())

    def close(self) -> None:
        """Leave the viewer as it was before the dock."""
        self._stop_flip()
        self._flip.release_key()
        self.panes.leave()

    def flip_now(self) -> None:
        """Show the other one of the image and the newest picture that is made of it."""
        if self._flip.seen:
            self._flip.flip()
            return
        pictures = self._pictures()
        if self._image is None or not pictures:
            return
        before = self.choice.value
        self.choice.value = OVER
        self._before_flip = before
        self._beneath = [layer for layer in self._pictures() if layer is not pictures[-1]]
        for layer in self._beneath:
            layer.visible = False
        self._flip.start({"MEASURED": self._image, "INFERRED": pictures[-1]})

    def tell_flipped(self) -> None:
        """Write on the canvas what is seen of what is flipped."""
        self._flip.tell()

    def _end_flip(self) -> None:
        """Look at both as before flipping."""
        self.choice.value = self._before_flip
        self._stop_flip()

    def _stop_flip(self) -> None:
        """Show all that was seen before."""
        self._flip.stop()
        for layer in self._beneath:
            layer.visible = layer in self._viewer.layers
        self._beneath = []

    def _pictures(self) -> list[Image]:
        """What is made of the image and can be seen, the topmost last."""
        if self._image is None or self._image not in self._viewer.layers:
            return []
        return [layer for layer in pictures_of(self._viewer, self._image) if layer.visible]

    def _on_choice(self, choice: str) -> None:
        self._stop_flip()
        if choice == LINKED:
            self.panes.show(self._image)
        else:
            self.panes.leave()
        self.changed.emit()

    def _on_left(self) -> None:
        self.choice.value = OVER

    def _on_contrast(self, same: bool) -> None:
        image = self._image
        if image is None:
            return
        for layer in pictures_of(self._viewer, image):
            if same:
                link_contrast(self._viewer, image, layer)
            else:
                unlink_contrast(self._viewer, image, layer)
