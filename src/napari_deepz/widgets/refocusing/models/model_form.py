"""The form in which the user chooses a model, and learns what it was made for."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import ComboBox, PushButton
from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.bioimageio.description import DESCRIPTION_FILES
from napari_deepz.models.errors import ModelError
from napari_deepz.models.library import kind_of, list_models, name_of
from napari_deepz.models.package import SPEC_FILE, read_spec
from napari_deepz.models.spec import ModelSpec
from napari_deepz.models.tensorflow import GRAPH_FILE, check_tensorflow
from napari_deepz.widgets.refocusing.models.model_dialogs import ModelCard
from napari_deepz.widgets.refocusing.resolving import ChosenModel
from napari_deepz.widgets.shared.forms import Rows, side_by_side
from napari_deepz.widgets.shared.plain_text import distinct, show_error

_FILES = (SPEC_FILE, GRAPH_FILE, *DESCRIPTION_FILES)


class _ChosenByName:
    """The name of the chosen model, to be remembered: its folder may be elsewhere next time."""

    changed = Signal(str)

    def __init__(self, form: ModelForm) -> None:
        self._form = form
        form.changed.connect(self._on_change)

    @property
    def value(self) -> str:
        return self._form.choice.current_choice or ""

    @value.setter
    def value(self, name: str) -> None:
        package = list_models().get(name)
        if package is None:
            raise ValueError(f"The model '{name}' is not at hand any more.")
        self._form.choice.value = package

    def _on_change(self) -> None:
        self.changed.emit(self.value)


class ModelForm:
    """A menu of the models at hand, and a button for others.

    Attributes
    ----------
    changed : Signal
        Emitted when another model is chosen.
    found_saved_model : Signal
        Emitted with a folder that the user opened and that has to be converted first.
    found_bioimageio : Signal
        Emitted with a package of bioimage.io that the user opened and that has to be added first.
    remembered : object
        Its value is the name of the chosen model.
    widget : Rows
        What to put into a window.
    """

    changed = Signal()
    found_saved_model = Signal(Path)
    found_bioimageio = Signal(Path)

    def __init__(self) -> None:
        self._opened: dict[str, Path] = {}
        self._read: tuple[object, ChosenModel] | None = None
        self._models = list_models()
        self.choice = ComboBox(
            label="Model",
            choices=lambda _: [*distinct(self._models.items())],
            nullable=not self._models,
            tooltip="Choose the model that was made for your objective and kind of sample.",
        )
        self.open = PushButton(
            text="Open model…",
            tooltip="Use a model from disk: a package of napari-deepz or bioimage.io (the zip, or "
            f"the file in its folder), or a TensorFlow model (its {GRAPH_FILE}).",
        )
        self.card = PushButton(text="Model card…", tooltip="All that is known about this model.")
        self.widget = Rows(self.choice, side_by_side(self.open, self.card))
        self.remembered = _ChosenByName(self)
        self.restore()
        self.choice.changed.connect(lambda _: self.changed.emit())
        self.open.changed.connect(self._ask)
        self.card.changed.connect(self._show_card)

    @property
    def package(self) -> Path | None:
        """Package of the chosen model; None where there is none."""
        package: Path | None = self.choice.value
        return package

    @property
    def spec(self) -> ModelSpec | None:
        """Card of the chosen model, as it is now; None where there is none any more."""
        chosen = self.chosen
        return None if chosen is None else chosen.spec

    @property
    def chosen(self) -> ChosenModel | None:
        """The chosen model; None where there is none any more.

        Its card is read again only where its file is another one than before.
        """
        if self.package is None:
            return None
        try:
            card = self.package / SPEC_FILE if self.package.is_dir() else self.package
            stat = card.stat()
            state = self.package, stat.st_mtime_ns, stat.st_size
            if self._read is None or self._read[0] != state:
                spec = read_spec(self.package)
                self._read = state, ChosenModel(name_of(self.package), self.package, spec)
        except (ModelError, OSError):
            self._read = None
            return None
        return self._read[1]

    def reset_choices(self) -> None:
        """Look again which models there are."""
        before = self.package
        self._models = list_models() | self._opened
        self.choice.reset_choices()
        if self.package != before:
            self.restore()

    def restore(self) -> None:
        """Choose the model that is there by default."""
        if DEFAULT_MODEL in self._models:
            self.choice.value = self._models[DEFAULT_MODEL]

    def add(self, package: Path) -> None:
        """Add a model package to the menu and choose it.

        Parameters
        ----------
        package : Path
            A zip file or a folder.

        Raises
        ------
        ModelError
            If it is not a model package.
        """
        name = read_spec(package).name
        known = list_models()
        if package not in known.values():
            self._opened[f"{name} ({package})" if name in known else name] = package
        self._models = known | self._opened
        self.choice.reset_choices()
        if self.package == package:
            self.changed.emit()
        self.choice.value = package

    def open_path(self, path: Path) -> None:
        """Take what the user opened: a package at once, anything else through a signal.

        Raises
        ------
        ModelError
            If it is no model, or one that needs what is not installed.
        """
        package = path.parent if path.name in _FILES else path
        kind = kind_of(package)
        if kind == "saved-model":
            check_tensorflow()
            self.found_saved_model.emit(package)
        elif kind == "bioimageio":
            self.found_bioimageio.emit(package)
        else:
            self.add(package)

    def _ask(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self.widget, "Open model", "", f"Models (*.zip {' '.join(_FILES)})"
        )
        if not chosen:
            return
        try:
            self.open_path(Path(chosen))
        except ValueError as error:
            show_error(str(error))

    def _show_card(self) -> None:
        if self.spec is not None:
            ModelCard(self.spec, self.widget).show()
