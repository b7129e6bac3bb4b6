"""How the docks look: rows with labels in one column, sections that fold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import CheckBox, Container, PushButton
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

_HEADER_STYLE = """
QPushButton, QPushButton:checked {
    background: transparent; text-align: left; font-weight: bold; padding: 2px;
    border: 1px solid transparent; border-bottom: 1px solid #808080;
}
QPushButton:focus { border: 1px solid #5b8cff; }
"""

HOW_FAR = "https://github.com/napari-deepz/napari-deepz/blob/main/docs/how_far_to_trust.md"

_LINK_STYLE = """
QPushButton { background: transparent; border: none; color: #5b8cff; padding: 1px; }
QPushButton:focus { border: 1px solid #5b8cff; }
"""

FOCUS_STYLE = (
    "QPushButton:focus, QToolButton:focus, QCheckBox:focus, QComboBox:focus, QSlider:focus, "
    "QAbstractSpinBox:focus { border: 1px solid #5b8cff; }"
)
"""Shows which control the keyboard is at, which napari's style does not."""


class Rows(QWidget):  # type: ignore[misc]
    """Widgets of magicgui under each other, their labels in a column of their own.

    Parameters
    ----------
    *widgets : magicgui widgets
        Check boxes and buttons bring their own text and get no label.
    """

    def __init__(self, *widgets: Any) -> None:
        super().__init__()
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for widget in widgets:
            bare = isinstance(widget, CheckBox | PushButton)
            label = QLabel("" if bare else widget.label)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setToolTip("" if bare else widget.native.toolTip())
            self._layout.addRow(label, widget.native)
            _give_names(widget)

    def show_row(self, widget: Any, shown: bool) -> None:
        """Show or hide a widget together with its label."""
        widget.native.setVisible(shown)
        label = self._layout.labelForField(widget.native)
        if label is not None:
            label.setVisible(shown)


def _give_names(widget: Any) -> None:
    """Tell people who hear the screen read what each control is called."""
    for part in widget if isinstance(widget, Container) else [widget]:
        named = isinstance(part, CheckBox | PushButton)
        part.native.setAccessibleName((part.text if named else part.label).replace("&", ""))


def side_by_side(*widgets: Any) -> Container:
    """Widgets of magicgui beside each other, as one of the `Rows`."""
    row = Container(widgets=widgets, layout="horizontal", labels=False)
    row.margins = (0, 0, 0, 0)
    return row


class Link(QPushButton):  # type: ignore[misc]
    """A page of the documentation, opened in the browser.

    Parameters
    ----------
    text, address : str
        What it is about, and where it is.
    """

    def __init__(self, text: str, address: str) -> None:
        super().__init__(text)
        self.setFlat(True)
        self.setStyleSheet(_LINK_STYLE)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(address)
        self.setAccessibleName(f"{text}, a page of the documentation")
        self.clicked.connect(lambda: QDesktopServices.openUrl(QUrl(address)))


class Section(QFrame):  # type: ignore[misc]
    """Widgets under each other, below a title that folds them away and shows them again.

    Parameters
    ----------
    title : str
        What they are about.
    *widgets : QWidget
        The widgets.
    folded : bool, optional
        Hide them at first.
    """

    def __init__(self, title: str, *widgets: QWidget, folded: bool = False) -> None:
        super().__init__()
        self.title = title
        self.header = QPushButton()
        self.header.setCheckable(True)
        self.header.setFlat(True)
        self.header.setStyleSheet(_HEADER_STYLE)
        self.header.setToolTip("Fold these settings away, or show them again.")
        self.body = QWidget()
        inner = QVBoxLayout(self.body)
        inner.setContentsMargins(6, 2, 2, 2)
        for widget in widgets:
            inner.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.header)
        layout.addWidget(self.body)
        self.header.toggled.connect(self._show)
        self.header.setChecked(not folded)
        self._show(not folded)

    @property
    def folded(self) -> bool:
        """Whether only the title is shown."""
        return not self.header.isChecked()

    @folded.setter
    def folded(self, folded: bool) -> None:
        self.header.setChecked(not folded)

    def rename(self, title: str) -> None:
        """Give it another title."""
        self.title = title
        self._show(not self.folded)

    def _show(self, shown: bool) -> None:
        self.header.setText(f"{'▾' if shown else '▸'} {self.title}".replace("&", "&&"))
        self.body.setVisible(shown)


def group(title: str, *widgets: QWidget) -> Section:
    """Widgets under each other in a section with a title."""
    return Section(title, *widgets)


class Scrolled(QScrollArea):  # type: ignore[misc]
    """Widgets under each other that scroll up and down, but are never cut off at the side.

    Parameters
    ----------
    *widgets : QWidget
        The widgets.
    """

    def __init__(self, *widgets: QWidget) -> None:
        super().__init__()
        inner = QWidget()
        self._layout = QVBoxLayout(inner)
        self._layout.addStretch()
        self.add(*widgets)
        self.setWidget(inner)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def add(self, *widgets: QWidget) -> None:
        """Put further widgets below those that are there."""
        for widget in widgets:
            self._layout.insertWidget(self._layout.count() - 1, widget)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As wide as the widgets and a scroll bar, but as low as can be."""
        width = self.widget().minimumSizeHint().width()
        width += self.verticalScrollBar().sizeHint().width() + 2 * self.frameWidth()
        return QSize(width, super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Ask for more width when the widgets need it."""
        if watched is self.widget() and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


def single_shot(parent: QWidget, on_timeout: Callable[[], None]) -> QTimer:
    """A timer that goes off once each time it is started."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.timeout.connect(on_timeout)
    return timer
