"""The dock `Movie`: measured frames in, a 3D movie out, looked at while it is made."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_deepz.recipes.movies.cooking import MovieCooking
from napari_deepz.recipes.movies.recipe import MovieRecipe
from napari_deepz.recipes.movies.saving import depths_of, require_movie_name
from napari_deepz.widgets.movies.export_task import MovieExport, ask_file, export_movie
from napari_deepz.widgets.movies.movie_layer import CanvasSaying, FilledLayer, FrameLayer
from napari_deepz.widgets.movies.movie_task import (
    FrameMade,
    FramesThere,
    LookedThrough,
    look_through,
    make_frame,
    make_movie,
)
from napari_deepz.widgets.movies.settings_form import SettingsForm
from napari_deepz.widgets.shared.activity import Activity
from napari_deepz.widgets.shared.background import Job, Work, tell
from napari_deepz.widgets.shared.forms import FOCUS_STYLE, Rows, Scrolled, group, single_shot
from napari_deepz.widgets.shared.job_panel import JobPanel
from napari_deepz.widgets.shared.movie_form import MovieForm
from napari_deepz.widgets.shared.movie_layers import LayerMovie, t_axis_of
from napari_deepz.widgets.shared.news import Advance
from napari_deepz.widgets.shared.placement import View, shown_index
from napari_deepz.widgets.shared.plain_text import PlainLabel
from napari_deepz.widgets.shared.run_state import Phase, RunState

_FOLLOW_AFTER_MS = 50
_MAKING, _LOOKING, _PREVIEWING = "Making the movie", "Looking through the frames", "Preview"
_EXPORTING = "Writing the movie"


class MovieDock(QWidget):  # type: ignore[misc]
    """The dock: a movie, how it is made three-dimensional, and the run.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose layers are offered and which gets the 3D movie.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer, self.state = napari_viewer, RunState()
        self._activity = Activity(self.state, self)
        self._job: Job | None = None
        self._what = ""
        self._layers: LayerMovie | None = None
        self._cooking: tuple[MovieRecipe, MovieCooking] | None = None
        self._recipe: MovieRecipe | None = None
        self._looked: MovieRecipe | None = None
        self._path: Path | None = None
        self.filled: FilledLayer | None = None
        self._frame: FrameLayer | None = None
        self._saying = CanvasSaying(self.viewer)
        self.form, self.settings = MovieForm(self.viewer), SettingsForm()
        self.preview = CheckBox(
            text="Preview",
            tooltip="Make the frame at the time slider, as it will be in the movie.",
        )
        self.notes = PlainLabel()
        self.panel = JobPanel(
            self.state,
            "&Make 3D movie",
            "Refocus every frame, and write it; frames that are there already are not made anew.",
            "Stop; the frames that are ready are kept, and making it again goes on with them.",
        )
        self.export_button = QPushButton("Export…")
        self.export_button.setToolTip(
            "Save a movie for talks, .mp4 or .gif: coloured by depth, of this depth, or a focus "
            "sweep."
        )
        self._follow_timer = single_shot(self, self._follow)
        self._lay_out()
        self.form.changed.connect(self._on_setting)
        self.settings.changed.connect(self._on_setting)
        self.preview.changed.connect(self._on_preview)
        self.panel.start.clicked.connect(self.make)
        self.panel.cancel.clicked.connect(self.cancel)
        self.export_button.clicked.connect(self.export)
        self.state.events.connect(self._show_state)
        self.viewer.dims.events.point.connect(self._follow_soon)
        self.reset_choices()
        self._on_setting()
        self._show_state()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(
            Scrolled(
                group("Movie", self.form.widget),
                group("3D movie", self.settings.widget, self.notes),
            ),
            1,
        )
        below = QWidget()
        inner = QVBoxLayout(below)
        inner.setContentsMargins(9, 4, 9, 6)
        inner.addWidget(Rows(self.preview))
        inner.addWidget(self.panel)
        inner.addWidget(self.export_button)
        layout.addWidget(below)
        self.setStyleSheet(FOCUS_STYLE)

    def event(self, event: QEvent) -> bool:
        """Leave the viewer as it was when the dock is taken out of its window."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._follow_timer.stop()
            self.cancel()
            self._remove_frame()
            self._saying.say("")
        return bool(super().event(event))

    def reset_choices(self, _: Any = None) -> None:
        """Look again which layers there are; napari calls this when they change."""
        self.form.reset_choices()
        self.panel.allow(self.form.layer is not None)
        self._show_state()
        self._follow_soon()

    def make(self) -> None:
        """Make the 3D movie, or go on with it."""
        if self.state.phase is not Phase.IDLE or not self._settle():
            return
        recipe, layers, path = self._recipe, self._layers, self.settings.path
        assert recipe is not None
        assert layers is not None
        try:
            require_movie_name(path, [Path(one) for one in recipe.paths])
        except ValueError as error:
            tell(error)
            return
        if self.filled is not None and (self.filled.is_lost or path != self._path):
            self.filled = None
        self._path = path
        self.preview.value = False
        work = partial(make_movie, recipe, layers.movie, self._known_cooking(), path)
        self._start(work, _MAKING)

    def export(self) -> None:
        """Ask for a file, and write a movie of the 3D movie that was made."""
        filled, path = self.filled, self._path
        if filled is None or path is None or filled.is_lost:
            return
        chosen = ask_file(self, several_depths=len(filled.z_um) > 1)
        if chosen is None or self.state.phase is not Phase.IDLE:
            return
        file, played = chosen
        wanted = MovieExport(path, filled.z_um, filled.shown_t, filled.shown_plane, played, file)
        self._start(partial(export_movie, wanted), _EXPORTING)

    def cancel(self) -> None:
        """Stop the job that is running, if any."""
        if self._job is not None:
            self._job.cancel()
            self.state.cancel()

    def _settle(self) -> bool:
        """Take what the forms say now; False where that cannot be used, which is said."""
        try:
            self._layers = self.form.movie()
            self._recipe = self.settings.recipe(self._layers)
        except (ValueError, OSError) as error:
            tell(error)
            return False
        return True

    def _known_cooking(self) -> MovieCooking | None:
        """Frames that have been looked through as the present recipe asks, if they have."""
        if self._cooking is None or self._recipe is None:
            return None
        looked, cooking = self._cooking
        if looked.model_copy(update={"surfaces": self._recipe.surfaces}) != self._recipe:
            return None
        return cooking.onto(self._recipe.surfaces)

    def _on_setting(self) -> None:
        layer = self.form.layer
        self._remove_frame()
        self.panel.allow(layer is not None)
        if layer is not None:
            self.settings.suggest_output(layer.name, layer.source.path)
        self._follow_soon()

    def _on_preview(self, wanted: bool) -> None:
        if not wanted:
            self._remove_frame()
            if self._what in (_PREVIEWING, _LOOKING):
                self.cancel()
        self._follow_soon()

    def _follow(self) -> None:
        """Make the frame that is looked at, and say whether it is there."""
        self._saying.say("" if self.filled is None else self.filled.says())
        if not self.preview.value or self.state.phase is not Phase.IDLE:
            return
        if not self._settle():
            self.preview.value = False
            return
        assert self._layers is not None
        assert self._recipe is not None
        cooking = self._known_cooking()
        if cooking is None:
            self._start(partial(look_through, self._recipe, self._layers.movie), _LOOKING)
            return
        self.notes.setText("\n".join(cooking.notes))
        t = self._shown_t()
        if self._frame is None or self._frame.t != t:
            self._start(partial(make_frame, cooking, t), _PREVIEWING)

    def _shown_t(self) -> int:
        layer = self.form.layer
        axis = None if layer is None else t_axis_of(layer)
        assert layer is not None
        assert axis is not None
        return shown_index(layer, View.of(self.viewer))[axis]

    def _start(self, work: Work, what: str) -> None:
        self._what, self._looked = what, self._recipe
        self._job = Job(work, self)
        self._job.received.connect(self._on_received)
        self._job.finished.connect(self._on_finished)
        self._job.aborted.connect(self._on_aborted)
        self._job.errored.connect(self._on_errored)
        self.state.start(f"{what}…")
        self._job.start()

    def _on_received(self, item: object) -> None:
        if isinstance(item, Advance):
            self.state.advance(item.fraction, f"{self._what}: {item.text}")
        elif isinstance(item, LookedThrough) and self._looked is not None:
            self._cooking = self._looked, item.cooking
            self.notes.setText("\n".join(item.cooking.notes))
        elif isinstance(item, FrameMade):
            self._show_frame(item)
        elif isinstance(item, FramesThere):
            self._show_movie(item)

    def _show_frame(self, made: FrameMade) -> None:
        layer = self.form.layer
        if not self.preview.value or layer is None or self._layers is None:
            return
        if self._recipe != self._looked:  # A setting has changed meanwhile.
            return
        if self._frame is None:
            self._frame = FrameLayer(self.viewer, layer)
        self._frame.show(self._layers, made.t, made.planes, self._z_um())

    def _show_movie(self, there: FramesThere) -> None:
        layer, layers = self.form.layer, self._layers
        if layer is None or layers is None or layer not in self.viewer.layers:
            return
        if self.filled is None:
            self.filled = FilledLayer(self.viewer, layer, layers, there.volumes, self._z_um())
        self.filled.take(there.times)
        self._follow_soon()

    def _z_um(self) -> tuple[float, ...]:
        return () if self._recipe is None else depths_of(self._recipe) or ()

    def _on_finished(self) -> None:
        made = self._what == _MAKING and self._path is not None
        done = "The movie is written." if self._what == _EXPORTING else ""
        self._end(f"Written: {self._path}" if made else done)

    def _on_aborted(self) -> None:
        if self._what == _MAKING and self.filled is not None:
            there = len(self.filled.times)
            self._end(f"Stopped with {there} frames; making it again goes on with them.")
        else:
            self._end(f"{self._what} was cancelled.")

    def _on_errored(self, error: Exception) -> None:
        self._end(f"{self._what} failed: {error}")
        self.preview.value = False
        tell(error)

    def _show_state(self, _: Any = None) -> None:
        """Offer to export what is there."""
        there = self.filled is not None and not self.filled.is_lost
        self.export_button.setEnabled(there and self.state.phase is Phase.IDLE)

    def _end(self, message: str) -> None:
        self._job = None
        self.state.end(message)
        self._follow_soon()

    def _remove_frame(self) -> None:
        if self._frame is not None:
            self._frame.remove()
        self._frame = None

    def _follow_soon(self, _: Any = None) -> None:
        self._follow_timer.start(_FOLLOW_AFTER_MS)
