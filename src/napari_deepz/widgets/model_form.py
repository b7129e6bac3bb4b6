"""The form in which the user chooses a model, and learns what it was made for."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import ComboBox, PushButton
from napari.utils.notifications import show_error
from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_deepz.generators import DEFAULT_MODEL
from napari_deepz.generators.library import list_models
from napari_deepz.generators.package import SPEC_FILE, read_spec
from napari_deepz.generators.spec import ModelSpec
from napari_deepz.widgets.forms import Rows


class ModelForm:
    """A menu of the models at hand, and a button for others.

    Attributes
    ----------
    changed : Signal
        Emitted when another model is chosen.
    widget : Rows
        What to put into a window.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._models = list_models()
        self._specs: dict[Path, ModelSpec] = {}
        self.choice = ComboBox(
            label="Model",
            choices=lambda _: list(self._models.items()),
            nullable=not self._models,
            tooltip="Choose the model that was made for your objective and kind of sample.",
        )
        self.open = PushButton(
            text="Open model…",
            tooltip=f"Use a model package from disk: a zip file, or the {SPEC_FILE} in its folder.",
        )
        self.widget = Rows(self.choice, self.open)
        self.restore()
        self.choice.changed.connect(lambda _: self.changed.emit())
        self.open.changed.connect(self._ask)

    @property
    def package(self) -> Path | None:
        """Package of the chosen model; None where there is none."""
        package: Path | None = self.choice.value
        return package

    @property
    def spec(self) -> ModelSpec | None:
        """Card of the chosen model."""
        if self.package is None:
            return None
        if self.package not in self._specs:
            self._specs[self.package] = read_spec(self.package)
        return self._specs[self.package]

    def restore(self) -> None:
        """Choose the model that is there by default."""
        if DEFAULT_MODEL in self._models:
            self.choice.value = self._models[DEFAULT_MODEL]

    def add(self, path: Path) -> None:
        """Add a model package to the menu and choose it.

        Parameters
        ----------
        path : Path
            A zip file, a folder, or the card in it.

        Raises
        ------
        ModelError
            If it is not a model package.
        """
        package = path.parent if path.name == SPEC_FILE else path
        name = read_spec(package).name
        taken = self._models.get(name, package) != package
        self._models[f"{name} ({package})" if taken else name] = package
        self.choice.reset_choices()
        self.choice.value = package

    def _ask(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self.widget, "Open model", "", f"Model packages (*.zip {SPEC_FILE})"
        )
        if not chosen:
            return
        try:
            self.add(Path(chosen))
        except ValueError as error:
            show_error(str(error))
