"""The dock `Neurons`: found in a movie, put right by hand, and what each of them does."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any, get_args

import numpy as np
from magicgui.widgets import CheckBox, ComboBox
from napari.layers import Image
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_deepz.neurons.editing import Edits, Neurons
from napari_deepz.neurons.field import NeuronField
from napari_deepz.neurons.ordering import OrderedBy
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.widgets.neurons.edit_buttons import EditButtons
from napari_deepz.widgets.neurons.export_dialog import ask_export
from napari_deepz.widgets.neurons.heat_map import HeatMap
from napari_deepz.widgets.neurons.neuron_points import NeuronPoints
from napari_deepz.widgets.neurons.neuron_table import NeuronTable
from napari_deepz.widgets.neurons.neurons_task import (
    FoundIn,
    find_neurons,
    measure_again,
)
from napari_deepz.widgets.neurons.search_form import SearchForm
from napari_deepz.widgets.neurons.trace_plot import DFF, LIGHT, TracePlot
from napari_deepz.widgets.neurons.track import SelectedTrack
from napari_deepz.widgets.shared.activity import Activity
from napari_deepz.widgets.shared.background import Job, Work, tell
from napari_deepz.widgets.shared.forms import FOCUS_STYLE, Rows, Scrolled, group, single_shot
from napari_deepz.widgets.shared.job_panel import JobPanel
from napari_deepz.widgets.shared.movie_form import MovieForm
from napari_deepz.widgets.shared.movie_layers import LayerMovie, t_axis_of
from napari_deepz.widgets.shared.news import Advance
from napari_deepz.widgets.shared.placement import View, shown_index
from napari_deepz.widgets.shared.plain_text import PlainLabel, asked, show_error, visible
from napari_deepz.widgets.shared.run_state import Phase, RunState

_FOLLOW_AFTER_MS = 30
_REPLACE = (
    "Neurons",
    "Neurons that were put right by hand are there: replace them? Export them first to keep them.",
)
_FINDING, _MEASURING = "Finding neurons", "Measuring neurons"


class NeuronsDock(QWidget):  # type: ignore[misc]
    """The dock: a movie, its neurons in a table and on the canvas, and their activity.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose layers are offered and which gets the neurons.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer, self.state = napari_viewer, RunState()
        self._activity = Activity(self.state, self)
        self._job: Job | None = None
        self._what, self._measure_after = "", False
        self._sought: tuple[Image, LayerMovie] | None = None
        self._source: Image | None = None
        self._layers: LayerMovie | None = None
        self._field: NeuronField | None = None
        self.edits: Edits | None = None
        self.found: NeuronTraces | None = None
        self.points: NeuronPoints | None = None
        self._track = SelectedTrack(self.viewer)
        self.form, self.search = MovieForm(self.viewer), SearchForm()
        self.panel = JobPanel(
            self.state,
            "&Find neurons",
            "Look for neurons in the virtual volume, and measure them on the frames as they are.",
            "Stop; what was found before is kept.",
        )
        self.table, self.buttons = NeuronTable(), EditButtons()
        self.all_depths = CheckBox(
            text="Show all depths",
            value=True,
            tooltip="Rings of all neurons, wherever the z slider stands.",
        )
        self.kind = ComboBox(label="Trace", choices=[DFF, LIGHT])
        self.order = ComboBox(label="Order", choices=[*get_args(OrderedBy)], value="depth")
        self.trace, self.map = TracePlot(self.viewer), HeatMap(self.viewer)
        self.export_button = QPushButton("Export…")
        self.export_button.setToolTip("Traces as CSV, Parquet or NWB, or tracks as CSV.")
        self.notes = PlainLabel()
        self._follow_timer = single_shot(self, self._follow_time)
        self._lay_out()
        self.form.changed.connect(self._show_state)
        self.panel.start.clicked.connect(self.find)
        self.panel.cancel.clicked.connect(self.cancel)
        self.table.selected.connect(self.select)
        self.table.moved.connect(self._move)
        self.table.refused.connect(show_error)
        self.buttons.clicked.connect(self._edit)
        self.all_depths.changed.connect(self._on_all_depths)
        self.kind.changed.connect(self._draw)
        self.order.changed.connect(self._draw)
        self.trace.went.connect(self._go_to)
        self.map.went.connect(self._on_map)
        self.export_button.clicked.connect(self.export)
        self.viewer.dims.events.point.connect(self._follow_soon)
        self.viewer.events.theme.connect(self._recolour)
        self.reset_choices()

    def _lay_out(self) -> None:
        self._neurons_card = group(
            "Neurons", self.notes, self.table, self.buttons, Rows(self.all_depths)
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(
            Scrolled(
                group(
                    "Movie",
                    self.form.widget,
                    self.search.widget,
                    self.panel,
                ),
                self._neurons_card,
                group("Selected", Rows(self.kind), self.trace),
                group("All", Rows(self.order), self.map, self.export_button),
            )
        )
        self.setStyleSheet(FOCUS_STYLE)

    def event(self, event: QEvent) -> bool:
        """Stop when the dock is taken out of its window."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._follow_timer.stop()
            self.cancel()
            self.viewer.dims.events.point.disconnect(self._follow_soon)
            self.viewer.events.theme.disconnect(self._recolour)
        return bool(super().event(event))

    def reset_choices(self, _: Any = None) -> None:
        """Look again which layers there are; napari calls this when they change."""
        self.form.reset_choices()
        gone = self._source is not None and self._source not in self.viewer.layers
        if gone or (self.points is not None and self.points.is_lost):
            self._forget()
        self._show_state()

    def find(self) -> None:
        """Look for neurons in the chosen movie."""
        if self.state.phase is not Phase.IDLE:
            return
        source = self.form.layer
        try:
            layers = self.form.movie()
        except ValueError as error:
            tell(error)
            return
        if self.edits is not None and self.edits.can_undo and not asked(self, *_REPLACE):
            return
        assert source is not None
        self._sought = source, layers
        work = partial(find_neurons, layers.movie, self.search.search())
        self._start(work, _FINDING)

    def cancel(self) -> None:
        """Stop the job that is running, if any."""
        self._measure_after = False
        if self._job is not None:
            self._job.cancel()
            self.state.cancel()

    def select(self, ids: Collection[int]) -> None:
        """Mark neurons in the table, on the canvas and in the map, and draw their traces."""
        self.table.select(ids)
        if self.points is not None:
            self.points.select(ids)
        self._draw()

    def change(self, neurons: Neurons) -> None:
        """Go on with other neurons, and measure all of them anew."""
        if self.edits is not None:
            self.edits.change(neurons)
            self._on_neurons()

    def export(self) -> None:
        """Ask where to save what was measured, and save it."""
        if self.found is None:
            return
        try:
            path = ask_export(self, self.found)
        except (ValueError, OSError) as error:
            tell(error)
            return
        if path is not None:
            self.state.message = f"Written: {path}"

    def _edit(self, what: str) -> None:
        edits, points = self.edits, self.points
        if edits is None or points is None:
            return
        ids = self.table.selected_ids()
        if what in ("add", "move"):
            self.viewer.layers.selection.active = points.layer
            points.layer.mode = "add" if what == "add" else "select"
        elif what == "merge":
            self.change(edits.neurons.merged(ids))
        elif what == "delete":
            self.change(edits.neurons.without(ids))
        else:
            (edits.undo if what == "undo" else edits.redo)()
            self._on_neurons()

    def _move(self, one: int, place_um: tuple[float, float, float]) -> None:
        if self.edits is not None:
            self.change(self.edits.neurons.moved(one, place_um))

    def _on_neurons(self) -> None:
        """Show neurons that have changed, and measure them."""
        self.found = None
        self._show_neurons()
        self._measure_after = True
        if self._job is not None:
            self._job.cancel()
        else:
            self._measure()

    def _measure(self) -> None:
        self._measure_after = False
        if self._field is None or self.edits is None or not len(self.edits.neurons):
            return
        self._start(partial(measure_again, self._field, self.edits.neurons), _MEASURING)

    def _start(self, work: Work, what: str) -> None:
        self._what = what
        self._job = Job(work, self)
        self._job.received.connect(self._on_received)
        self._job.finished.connect(lambda: self._end(""))
        self._job.aborted.connect(lambda: self._end(f"{what} was cancelled."))
        self._job.errored.connect(self._on_errored)
        self.state.start(f"{what}…")
        self._job.start()

    def _on_received(self, item: object) -> None:
        if isinstance(item, Advance):
            self.state.advance(item.fraction, f"{self._what}: {item.text}")
        elif isinstance(item, FoundIn):
            self._take_found(item)
        elif isinstance(item, NeuronTraces):
            self._take_measured(item)

    def _take_measured(self, found: NeuronTraces) -> None:
        if self.edits is not None and found.neurons is self.edits.neurons:
            self.found = found  # Else they have changed meanwhile.
            self._show_neurons()

    def _take_found(self, item: FoundIn) -> None:
        """Show what was found, in place of what was there."""
        if self._sought is None or self._sought[0] not in self.viewer.layers:
            return  # Its movie is gone.
        self._forget()
        self._source, self._layers = self._sought
        self._field, self.found = item.field, item.found
        self.edits = Edits(item.found.neurons)
        self.points = NeuronPoints(self.viewer, self._layers)
        self.points.edited.connect(self.change)
        self.points.selected.connect(self.select)
        self.points.show_all_depths(self.all_depths.value)
        self._neurons_card.rename(f"Neurons of {visible(self._source.name)}")
        self._show_neurons()

    def _on_errored(self, error: Exception) -> None:
        self._end(f"{self._what} failed: {error}")
        tell(error)

    def _end(self, message: str) -> None:
        self._job = None
        self.state.end(message)
        if self._measure_after:
            self._measure()
        self._show_state()

    def _forget(self) -> None:
        points, self.points = self.points, None
        if points is not None:
            points.remove()
        self._track.remove()
        self.edits = self.found = self._field = self._source = None
        self._neurons_card.rename("Neurons")
        self._show_neurons()

    def _show_neurons(self) -> None:
        neurons = Neurons.found(np.empty((0, 3))) if self.edits is None else self.edits.neurons
        self.table.show_neurons(neurons, self.found)
        self._follow_time()
        self._draw()

    def _draw(self, _: Any = None) -> None:
        ids = self.table.selected_ids()
        self.trace.show_traces(self.found, ids, self.kind.value)
        self.map.show_activity(self.found, self.order.value)
        self.map.mark(ids)
        if self._layers is not None:
            self._track.show(self._layers, self.found, ids)
        self._show_state()

    def _show_state(self, _: Any = None) -> None:
        edits = self.edits
        self.panel.allow(self.form.layer is not None)
        self.buttons.allow(
            edit=edits is not None,
            selected=len(self.table.selected_ids()),
            undo=edits is not None and edits.can_undo,
            redo=edits is not None and edits.can_redo,
        )
        self.export_button.setEnabled(self.found is not None)
        self.notes.setText("" if self.found is None else "\n".join(self.found.notes))
        self.notes.setVisible(bool(self.notes.text()))

    def _follow_time(self) -> None:
        """Show neurons, and the cursors, where and when the viewer is."""
        layer = self._source
        axis = None if layer is None else t_axis_of(layer)
        if layer is None or axis is None or self._field is None or self.edits is None:
            return
        t = shown_index(layer, View.of(self.viewer))[axis]
        neurons = self.edits.neurons
        if self.points is not None:
            self.points.show(neurons, t, self._field.places_in(neurons, t))
        t_s = float(self._field.movie.t_s[t])
        self.trace.set_time(t_s)
        self.map.set_time(t_s)

    def _go_to(self, t_s: float) -> None:
        """Move the slider of time."""
        layer = self._source
        axis = None if layer is None else t_axis_of(layer)
        if layer is None or axis is None or self._field is None:
            return
        t = int(np.abs(self._field.movie.t_s - t_s).argmin())
        of_viewer = self.viewer.dims.ndim - layer.ndim + axis
        world = layer.data_to_world([t if at == axis else 0 for at in range(layer.ndim)])
        self.viewer.dims.set_point(of_viewer, world[axis])

    def _on_map(self, one: int, t_s: float) -> None:
        self._go_to(t_s)
        self.select([one])

    def _on_all_depths(self, wanted: bool) -> None:
        if self.points is not None and not self.points.is_lost:
            self.points.show_all_depths(wanted)

    def _follow_soon(self, _: Any = None) -> None:
        self._follow_timer.start(_FOLLOW_AFTER_MS)

    def _recolour(self, _: Any = None) -> None:
        self.trace.recolour()
        self.map.recolour()
