"""The table of the neurons."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtCore import QItemSelection, QItemSelectionModel, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_deepz.neurons.editing import Neurons
from napari_deepz.neurons.traces import NeuronTraces

_HEADINGS = ("id", "z (µm)", "y (µm)", "x (µm)", "SNR", "separable")
_PLACES = (1, 2, 3)
_HEIGHT_PX = 200


class NeuronTable(QTableWidget):  # type: ignore[misc]
    """A row for each neuron; places can be typed.

    Attributes
    ----------
    selected : Signal
        Emitted with the ids of the rows that the user has selected.
    moved : Signal
        Emitted with an id and its new place (z, y, x), µm.
    refused : Signal
        Emitted with what was typed and is no place.
    """

    selected = Signal(tuple)
    moved = Signal(int, tuple)
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__(0, len(_HEADINGS))
        self.setHorizontalHeaderLabels(_HEADINGS)
        self.verticalHeader().setVisible(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setMinimumHeight(_HEIGHT_PX)
        self.setAccessibleName("Neurons")
        self.setToolTip("Double-click a place to type another one.")
        self._neurons: Neurons | None = None
        self.itemSelectionChanged.connect(self._on_selected)
        self.itemChanged.connect(self._on_changed)

    def show_neurons(self, neurons: Neurons, found: NeuronTraces | None) -> None:
        """List neurons; with what was measured where that is of these.

        Parameters
        ----------
        neurons : Neurons
            Which.
        found : NeuronTraces or None
            None while they are being measured.
        """
        marked = self.selected_ids()
        with QSignalBlocker(self):
            self._neurons = neurons
            self.setRowCount(len(neurons))
            for row in range(len(neurons)):
                values = [str(neurons.ids[row])]
                values += [f"{value:.2f}" for value in neurons.places_um[row]]
                values += ["…", "…"]
                if found is not None:
                    values[-2] = f"{found.snr[row]:.1f}"
                    values[-1] = "yes" if found.separable[row] else "no"
                for column, text in enumerate(values):
                    item = QTableWidgetItem(text)
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight)
                    if column not in _PLACES:
                        item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                    self.setItem(row, column, item)
        self.select(marked)

    def select(self, ids: Collection[int]) -> None:
        """Mark rows, without telling."""
        if self._neurons is None:
            return
        rows = [row for row, one in enumerate(self._neurons.ids.tolist()) if one in ids]
        chosen = QItemSelection()
        for row in rows:
            first, last = self.model().index(row, 0), self.model().index(row, len(_HEADINGS) - 1)
            chosen.select(first, last)
        with QSignalBlocker(self):
            flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
            self.selectionModel().select(chosen, flag)
            if rows:
                self.scrollToItem(self.item(rows[0], 0))
        self.viewport().update()

    def selected_ids(self) -> tuple[int, ...]:
        """Ids of the rows that are marked."""
        if self._neurons is None:
            return ()
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        return tuple(int(self._neurons.ids[row]) for row in rows if row < len(self._neurons))

    def _on_selected(self) -> None:
        self.selected.emit(self.selected_ids())

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if self._neurons is None or item.column() not in _PLACES:
            return
        row, place_um = item.row(), self._neurons.places_um[item.row()].tolist()
        try:
            place_um[item.column() - 1] = float(item.text().replace(",", "."))
        except ValueError:
            typed = item.text()
            with QSignalBlocker(self):
                item.setText(f"{place_um[item.column() - 1]:.2f}")
            self.refused.emit(f"'{typed}' is no place: type a number of µm.")
            return
        self.moved.emit(int(self._neurons.ids[row]), tuple(place_um))
