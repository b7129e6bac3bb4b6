"""The windows about models: the card of one, and what the user knows about one from elsewhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

from magicgui.widgets import FloatSpinBox, LineEdit
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from napari_deepz.models.card import CardFields, model_card
from napari_deepz.models.errors import ModelError
from napari_deepz.models.installing import check_new_name
from napari_deepz.models.spec import ModelSpec
from napari_deepz.models.tensorflow import PUBLISHED_RANGE_UM, suggested_name
from napari_deepz.widgets.shared.forms import Rows
from napari_deepz.widgets.shared.plain_text import PlainLabel, harmless, visible

_CARD_SIZE = (560, 480)
_FARTHEST_UM = 1000.0
_LONGEST_CELL = 20_000


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
        self.setWindowTitle(harmless(f"Model {spec.name}"))
        self.text = QTextBrowser()
        self.text.setOpenLinks(False)
        rows = "".join(
            f"<tr><td><b>{_cell(label)}</b>&nbsp;&nbsp;</td><td>{_cell(text)}</td></tr>"
            for label, text in model_card(spec)
        )
        self.text.setHtml(f"<table cellspacing=6>{rows}</table>")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        self.resize(*_CARD_SIZE)


class NewModelDialog(QDialog):  # type: ignore[misc]
    """Asks what the user knows about a model from elsewhere, and closes only if it makes sense.

    Parameters
    ----------
    path : Path
        Where the model comes from.
    about : str
        What the user should know.
    action : str
        What the button says.
    range_um : tuple of float or None
        Distances to begin with; None where the package may say them itself.
    parent : QWidget
        Above which it stands.
    """

    def __init__(
        self,
        path: Path,
        about: str,
        action: str,
        range_um: tuple[float, float] | None,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(action)
        explanation, self.problem = PlainLabel(), PlainLabel()
        explanation.setText(about)
        unknown = "not known" if range_um is not None else "as the package says"
        self.name = LineEdit(
            label="Name",
            value=visible(suggested_name(path.with_suffix("") if path.is_file() else path)),
            tooltip="Under which you will find the model.",
        )
        self.objective = LineEdit(
            label="Objective", tooltip="Of the training images, such as 20x/0.75 dry."
        )
        self.objective.native.setPlaceholderText(unknown)
        self.pixel_size = FloatSpinBox(
            label="Pixel size (µm)",
            min=0,
            max=20,
            step=0.005,
            tooltip="Of the training images; other images are resampled to it. 0: not known.",
        )
        self.pixel_size.native.setDecimals(4)
        self.pixel_size.native.setSpecialValueText(unknown)
        start_um = range_um or (-_FARTHEST_UM, -_FARTHEST_UM)
        self.lowest, self.highest = (
            FloatSpinBox(
                label=f"{which} distance (µm)",
                min=-_FARTHEST_UM,
                max=_FARTHEST_UM,
                step=0.5,
                value=value,
                tooltip="That the model was trained on: ±10 µm for the published 20x models, "
                "±2.7 µm for the 40x one.",
            )
            for which, value in zip(("Smallest", "Largest"), start_um, strict=True)
        )
        for row in (self.lowest, self.highest):
            row.native.setSpecialValueText(unknown)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = self.buttons.addButton(action, QDialogButtonBox.ButtonRole.AcceptRole)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(explanation)
        rows = (self.name, self.objective, self.pixel_size, self.lowest, self.highest)
        layout.addWidget(Rows(*rows))
        layout.addWidget(self.problem)
        layout.addWidget(self.buttons)

    def fields(self) -> CardFields:
        """What the user said."""
        ends_um = (self.lowest.value, self.highest.value)
        return CardFields(
            name=self.name.value.strip(),
            objective=self.objective.value.strip() or None,
            pixel_size_um=self.pixel_size.value or None,
            axial_range_um=None if ends_um == (-_FARTHEST_UM, -_FARTHEST_UM) else ends_um,
        )

    def accept(self) -> None:
        """Close, or say what is wrong."""
        fields = self.fields()
        try:
            check_new_name(str(fields.name))
            if fields.axial_range_um is not None:
                low_um, high_um = fields.axial_range_um
                if not low_um < high_um:
                    raise ModelError("The largest distance must be larger than the smallest one.")
        except ModelError as error:
            self.problem.setText(f"⚠ {error}")
        else:
            super().accept()


def ask_conversion(folder: Path, parent: QWidget) -> NewModelDialog:
    """Ask about a TensorFlow SavedModel, which says nothing about itself."""
    about = (
        f"'{folder.name}' is a TensorFlow model. It is converted once and then kept among your "
        "models. Say what you know of it: a model is only right for the objective, pixel size and "
        "distances that it was trained with. ±10 µm are those of the published 20x models."
    )
    return NewModelDialog(folder, about, "Convert", PUBLISHED_RANGE_UM, parent)


def ask_adding(path: Path, parent: QWidget) -> NewModelDialog:
    """Ask about a bioimage.io package, which may say all or nothing about itself."""
    about = (
        f"'{path.name}' is a bioimage.io package. It is checked and then kept among your models. "
        "Fill in only what the package does not say itself, or what you know better."
    )
    return NewModelDialog(path, about, "Add", None, parent)


def _cell(text: str) -> str:
    """A text of any origin as HTML that shows it as it is."""
    return escape(visible(text, lines=True, longest=_LONGEST_CELL)).replace("\n", "<br>")
