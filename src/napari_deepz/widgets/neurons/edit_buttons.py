"""What can be done by hand with neurons."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

_BUTTONS = (
    ("add", "Add", "Click on the picture where a neuron is; its depth is that of the z slider."),
    ("move", "Select, move", "Drag neurons on the picture; drag a box to select several."),
    ("merge", "Merge", "Make one neuron of those that are selected."),
    ("delete", "Delete", "Leave the selected neurons out."),
    ("undo", "Undo", "Take the last change back."),
    ("redo", "Redo", "Make the change again that was taken back."),
)
_COLUMNS = 3


class EditButtons(QWidget):  # type: ignore[misc]
    """A button for each edit.

    Attributes
    ----------
    clicked : Signal
        Emitted with the name of one: add, move, merge, delete, undo, redo.
    buttons : dict
        By these names.
    """

    clicked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.buttons: dict[str, QPushButton] = {}
        for place, (name, text, tooltip) in enumerate(_BUTTONS):
            button = self.buttons[name] = QPushButton(text)
            button.setToolTip(tooltip)
            button.clicked.connect(lambda _=False, name=name: self.clicked.emit(name))
            layout.addWidget(button, place // _COLUMNS, place % _COLUMNS)

    def allow(self, *, edit: bool, selected: int, undo: bool, redo: bool) -> None:
        """Say what makes sense now.

        Parameters
        ----------
        edit : bool
            Whether there is a movie in which neurons were looked for.
        selected : int
            How many neurons are.
        undo, redo : bool
            Whether there is something to be taken back, or made again.
        """
        makes_sense = {
            "add": edit,
            "move": edit,
            "merge": edit and selected > 1,
            "delete": edit and selected > 0,
            "undo": edit and undo,
            "redo": edit and redo,
        }
        for name, button in self.buttons.items():
            button.setEnabled(makes_sense[name])
