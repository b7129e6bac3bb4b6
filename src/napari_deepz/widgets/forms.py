"""How the docks look: rows with labels in one column, groups, text that wraps."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, Container, PushButton
from qtpy.QtWidgets import QFormLayout, QGroupBox, QLabel, QSizePolicy, QVBoxLayout, QWidget


class Rows(QWidget):  # type: ignore[misc]
    """Widgets of magicgui under each other, their labels in a column of their own.

    Parameters
    ----------
    *widgets : magicgui widgets
        Check boxes, buttons and containers bring their own text and get no label.
    """

    def __init__(self, *widgets: Any) -> None:
        super().__init__()
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for widget in widgets:
            bare = isinstance(widget, CheckBox | Container | PushButton)
            self._layout.addRow("" if bare else widget.label, widget.native)

    def show_row(self, widget: Any, shown: bool) -> None:
        """Show or hide a widget together with its label."""
        widget.native.setVisible(shown)
        label = self._layout.labelForField(widget.native)
        if label is not None:
            label.setVisible(shown)


def side_by_side(*widgets: Any) -> Container:
    """Widgets of magicgui beside each other, as one of the `Rows`."""
    row = Container(widgets=widgets, layout="horizontal", labels=False)
    row.margins = (0, 0, 0, 0)
    return row


def group(title: str, *widgets: QWidget) -> QGroupBox:
    """Widgets under each other in a frame with a title."""
    box = QGroupBox(title)
    layout = QVBoxLayout(box)
    for widget in widgets:
        layout.addWidget(widget)
    return box


def wrapped_text() -> QLabel:
    """Text that takes the width it gets."""
    label = QLabel()
    label.setWordWrap(True)
    policy = label.sizePolicy()
    policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
    label.setSizePolicy(policy)
    return label
