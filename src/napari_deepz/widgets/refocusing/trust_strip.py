"""The strip that never folds: what the model knows, what this image is, and how far that goes."""

from __future__ import annotations

from enum import StrEnum

from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_deepz.engine.cautions import DISTRUST
from napari_deepz.models.spec import ModelSpec
from napari_deepz.widgets.refocusing.resolving import Resolved
from napari_deepz.widgets.shared.forms import HOW_FAR, Link, Scrolled
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.plain_text import PlainLabel

_MOST_LINES, _LEAST_LINES = 6, 2
_DOCK_LINES_PER_LINE = 8
"""So many lines of text fit into a dock for each that the strip takes of it."""
_NARROWEST_PX = 200


class Light(StrEnum):
    """How far a result could be trusted, by what is known before it is made."""

    NONE = "#808080"
    RED = "#e05252"
    YELLOW = "#d9a521"
    GREEN = "#3f9c6b"


def verdict(resolved: Resolved, cautions: list[str]) -> tuple[Light, str]:
    """Say in a few words how far a result could be trusted.

    Parameters
    ----------
    resolved : Resolved
        What the settings mean.
    cautions : list of str
        What the user should know before a run.

    Returns
    -------
    tuple
        The colour of the light, and the words.
    """
    model, request = resolved.model, resolved.request
    if resolved.layer is None or model is None:
        return Light.NONE, ""
    if request is None:
        missing = "Nothing can be refocused yet"
        return Light.RED, missing if resolved.shown is None else "Set more anchors first"
    if any(DISTRUST in caution for caution in cautions):
        return Light.RED, f"Not what {model.name} was made for"
    if cautions:
        return Light.YELLOW, "With care: see below"
    if request.sampling.na is None:
        return Light.YELLOW, "Objective not known: choose it above"
    if resolved.plane is not None and resolved.plane.is_size_typed:
        return Light.YELLOW, "As good as the pixel size entered"
    return Light.GREEN, f"As {model.name} was made for"


class TrustStrip(QWidget):  # type: ignore[misc]
    """A light, a verdict, the facts, and what to be careful about.

    Attributes
    ----------
    cautions : PlainLabel
        A line for each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.light, self.says = PlainLabel(), PlainLabel()
        self.light.setText("●")
        self.light.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.light.setToolTip("Green: as the model was made for. Yellow: with care. Red: not.")
        self.link = Link("How far to trust", HOW_FAR)
        self.knows, self.image, self.cautions = PlainLabel(), PlainLabel(), PlainLabel()
        self._list = Scrolled(self.cautions, self.knows, self.image)
        self._list.widget().layout().setContentsMargins(0, 0, 0, 0)
        self._list.widget().layout().setSpacing(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(9, 2, 9, 0)
        layout.setSpacing(1)
        head = QHBoxLayout()
        layout.addLayout(head)
        head.addWidget(self.light)
        head.addWidget(self.says, 1)
        head.addWidget(self.link)
        layout.addWidget(self._list)

    def review(self, resolved: Resolved, cautions: list[str]) -> None:
        """Say it of the present settings."""
        light, words = verdict(resolved, cautions)
        self.light.setStyleSheet(f"color: {light.value}; font-size: 14pt;")
        self.light.setAccessibleName(f"Trust: {light.name.lower()}")
        self.says.setText(words)
        self.knows.setText(f"Knows {_known(resolved.model.spec)}" if resolved.model else "")
        self.image.setText(_about(resolved.plane, resolved) if resolved.plane else "")
        gravest_first = sorted(cautions, key=lambda caution: DISTRUST not in caution)
        self.cautions.setText("\n".join(f"⚠ {caution}" for caution in gravest_first))
        self.knows.setToolTip(resolved.model.spec.sample if resolved.model else "")
        texts = (self.cautions, self.knows, self.image)
        for text in (self.says, *texts):
            text.setVisible(bool(text.text()))
        self.fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give the texts the height that they need at another width."""
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Be as high as all texts below each other, but leave most of a low window to the rest."""
        layout, frame_px = self._list.widget().layout(), 2 * self._list.frameWidth()
        width_px = max(self._list.viewport().width(), _NARROWEST_PX)
        needed_px = layout.heightForWidth(width_px) + frame_px
        line_px = self.fontMetrics().lineSpacing()
        lines = self.parentWidget().height() // line_px // _DOCK_LINES_PER_LINE
        most_px = min(max(lines, _LEAST_LINES), _MOST_LINES) * line_px
        self._list.setFixedHeight(min(most_px, needed_px))


def _known(spec: ModelSpec) -> str:
    low_um, high_um = spec.axial_range_um
    return f"{spec.made_for}, {low_um:g} to {high_um:g} µm"


def _about(plane: InputPlane, resolved: Resolved) -> str:
    pixel_um = plane.pixel_size_um
    if pixel_um is None:
        size = "pixel size not known"
    else:
        size = f"{pixel_um:g} µm{' as entered' if plane.is_size_typed else ''}"
    request = resolved.request
    na = None if request is None else request.sampling.na
    return f"This image: {size}; {'objective not known' if na is None else f'NA {na:g}'}"
