"""The windows about models: the card of one, and what the user knows about one to be converted."""

from __future__ import annotations

from html import escape
from pathlib import Path

from magicgui.widgets import FloatSpinBox, LineEdit
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from napari_deepz.generators.card import CardFields, model_card
from napari_deepz.generators.spec import ModelSpec
from napari_deepz.generators.tensorflow import PUBLISHED_RANGE_UM, suggested_name
from napari_deepz.widgets.forms import Rows, wrapped_text

_CARD_SIZE = (560, 480)


class ModelCard(QDialog):  # type: ignore[misc]
    """A model's card, to be read beside the viewer.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    parent : QWidget
        Above which it stands.
    """

    def __init__(self, spec: ModelSpec, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"Model {spec.name}")
        self.text = QTextBrowser()
        rows = "".join(
            f"<tr><td><b>{escape(label)}</b>&nbsp;&nbsp;</td><td>{escape(text)}</td></tr>"
            for label, text in model_card(spec)
        )
        self.text.setHtml(f"<table cellspacing=6>{rows}</table>")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        self.resize(*_CARD_SIZE)


class ConversionDialog(QDialog):  # type: ignore[misc]
    """Asks what a SavedModel folder does not say about its model.

    Parameters
    ----------
    folder : Path
        The SavedModel.
    parent : QWidget
        Above which it stands.
    """

    def __init__(self, folder: Path, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Convert a TensorFlow model")
        about = wrapped_text()
        about.setText(
            f"'{folder.name}' is a TensorFlow model. It can be converted once and is then kept "
            "among your models. Say what you know of it: a model is only right for the objective "
            "and the pixel size that it was trained with."
        )
        self.name = LineEdit(
            label="Name",
            value=suggested_name(folder),
            tooltip="Under which you will find the model.",
        )
        self.objective = LineEdit(
            label="Objective", tooltip="Of the training images, such as 20x/0.75 dry."
        )
        self.pixel_size = FloatSpinBox(
            label="Pixel size (µm)",
            min=0,
            max=100,
            step=0.005,
            tooltip="Of the training images; other images are resampled to it. 0: not known.",
        )
        self.pixel_size.native.setDecimals(4)
        self.pixel_size.native.setSpecialValueText("not known")
        self.lowest, self.highest = (
            FloatSpinBox(
                label=f"{which} distance (µm)",
                min=-1000,
                max=1000,
                step=0.5,
                value=value,
                tooltip="That the model was trained on: ±10 µm for the published 20x models, "
                "±2.7 µm for the 40x one.",
            )
            for which, value in zip(("Smallest", "Largest"), PUBLISHED_RANGE_UM, strict=True)
        )
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.convert = self.buttons.addButton("Convert", QDialogButtonBox.ButtonRole.AcceptRole)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addWidget(
            Rows(self.name, self.objective, self.pixel_size, self.lowest, self.highest)
        )
        layout.addWidget(self.buttons)

    def fields(self) -> CardFields:
        """What the user said."""
        return CardFields(
            name=self.name.value.strip(),
            objective=self.objective.value.strip() or None,
            pixel_size_um=self.pixel_size.value or None,
            axial_range_um=(self.lowest.value, self.highest.value),
        )
