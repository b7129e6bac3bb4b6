"""The form in which the user says how a movie is made three-dimensional."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from magicgui.widgets import ComboBox, FloatSpinBox, LineEdit, PushButton
from psygnal import Signal
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_deepz.models import DEFAULT_MODEL
from napari_deepz.models.library import list_models
from napari_deepz.recipes.movies.recipe import MovieRecipe, PixelChoice
from napari_deepz.recipes.recipe import stem_of
from napari_deepz.surfaces import Flat, MovieSurface, load_movie_surface
from napari_deepz.widgets.shared.compute_form import ComputeForm
from napari_deepz.widgets.shared.forms import Rows, Section, side_by_side
from napari_deepz.widgets.shared.movie_layers import LayerMovie
from napari_deepz.widgets.shared.plain_text import visible

ENDING = ".ome.zarr"
_RANGE, _FILE = "Flat range", "Surface from a file"
_DEPTHS_UM = (-10.0, 10.0, 0.5)
_FURTHEST_UM = 1000.0
_BRIGHTNESS = {
    "Common to all frames": "common",
    "Each frame by itself (not for activity)": "each frame",
}
_MOTIONS = {"None": "none", "Move frames onto each other": "shift"}


class SettingsForm:
    """Depths, brightness, motion, model, computation, and where the result goes.

    Attributes
    ----------
    changed : Signal
        Emitted when something else than the name of the result is changed.
    widget : QWidget
        What to put into a window.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.kind = ComboBox(
            label="Depths",
            choices=[_RANGE, _FILE],
            tooltip="Flat planes, or a surface from a .json file, also one that changes over time.",
        )
        self.start, self.stop, self.step = (
            FloatSpinBox(
                label=label, value=value, min=low, max=_FURTHEST_UM, step=0.5, tooltip=tooltip
            )
            for label, value, low, tooltip in (
                ("From (µm)", _DEPTHS_UM[0], -_FURTHEST_UM, "First plane, from the input plane."),
                ("To (µm)", _DEPTHS_UM[1], -_FURTHEST_UM, "Last plane, from the input plane."),
                ("Step (µm)", _DEPTHS_UM[2], 0.01, "Distance of neighbouring planes."),
            )
        )
        self.surface = LineEdit(label="File", tooltip="A surface that was exported, .json.")
        self._open = PushButton(text="Open…", tooltip="Choose a surface.")
        self._file = side_by_side(self.surface, self._open)
        self._file.label, self._file.tooltip = "File", self.surface.tooltip
        self.brightness = ComboBox(
            label="Brightness",
            choices=[*_BRIGHTNESS],
            tooltip="Fitted once for the movie, following bleaching and the lamp, so that a cell "
            "which lights up changes no other one; or to each frame.",
        )
        self.motion = ComboBox(
            label="Motion",
            choices=[*_MOTIONS],
            tooltip="Move frames sideways to where most of them are; the shifts are recorded.",
        )
        self.model = ComboBox(
            label="Model",
            choices=lambda _: [*list_models()],
            tooltip="What refocuses each frame.",
        )
        self.pixels = ComboBox(
            label="Stored as",
            choices=[*get_args(PixelChoice)],
            tooltip="uint16 has a scale and an offset, and is about five times smaller.",
        )
        self.compute = ComputeForm()
        self.output = LineEdit(label="Into", tooltip=f"A folder whose name ends with {ENDING}.")
        self._choose = PushButton(text="Choose…", tooltip="Where the 3D movie is written.")
        into = side_by_side(self.output, self._choose)
        into.label, into.tooltip = "Into", self.output.tooltip
        self._rows = Rows(self.kind, self.start, self.stop, self.step, self._file)
        self.widget = QWidget()
        layout = QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._rows)
        layout.addWidget(Rows(self.brightness, self.motion, self.model))
        further = Section("Storing", Rows(self.pixels), folded=True)
        for part in (self.compute.widget, further, Rows(into)):
            layout.addWidget(part)
        self.model.value = DEFAULT_MODEL
        self._suggested = ""
        for widget in (
            *(self.kind, self.start, self.stop, self.step, self.surface),
            *(self.brightness, self.motion, self.model, self.pixels, self.compute),
        ):
            widget.changed.connect(self._on_change)
        self._open.changed.connect(self._ask_surface)
        self._choose.changed.connect(self._ask_output)
        self._on_change()

    @property
    def path(self) -> Path:
        """Where the result goes."""
        return Path(self.output.value).expanduser()

    def suggest_output(self, name: str, path: str | None) -> None:
        """Propose a name beside a movie, unless the user has given one."""
        if self.output.value != self._suggested:
            return
        folder = Path.home() if path is None else Path(path).parent
        self._suggested = str(folder / f"{stem_of(visible(name)) or 'movie'} 3D{ENDING}")
        self.output.value = self._suggested

    def recipe(self, layers: LayerMovie) -> MovieRecipe:
        """What is to be done with a movie.

        Raises
        ------
        FileNotFoundError, ValueError
            If a setting cannot be used; one sentence.
        """
        movie = layers.movie
        return MovieRecipe(
            paths=layers.paths,
            surfaces=(self._surface(),),
            c=layers.c,
            at_um=movie.at_um,
            sampling=movie.sampling,
            rate_hz=movie.rate_hz,
            model=self.model.value,
            compute=self.compute.compute(),
            brightness=_BRIGHTNESS[self.brightness.value],
            motion=_MOTIONS[self.motion.value],
            pixels=self.pixels.value,
        )

    def _surface(self) -> MovieSurface:
        if self.kind.value == _RANGE:
            return Flat.parse(f"{self.start.value}:{self.stop.value}:{self.step.value}")
        if not self.surface.value.strip():
            raise ValueError("Choose the file of the surface.")
        return load_movie_surface(Path(self.surface.value).expanduser())

    def _on_change(self, _: object = None) -> None:
        flat = self.kind.value == _RANGE
        for row in (self.start, self.stop, self.step):
            self._rows.show_row(row, flat)
        self._rows.show_row(self._file, not flat)
        self.changed.emit()

    def _ask_surface(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self.widget, "Open surface", "", "Surfaces (*.json)"
        )
        if chosen:
            self.surface.value = chosen

    def _ask_output(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self.widget, "Write 3D movie", self.output.value, f"OME-Zarr (*{ENDING})"
        )
        if chosen:
            self.output.value = chosen if chosen.endswith(".zarr") else chosen + ENDING
