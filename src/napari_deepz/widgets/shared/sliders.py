"""A slider with a number box, for numbers that the user sets while watching what they do."""

from __future__ import annotations

import math

from psygnal import Signal
from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QSlider,
    QStyle,
    QStyleOptionSlider,
    QWidget,
)

_RESOLUTION = 0.1
_KEY_STEPS, _PAGE_STEPS = 5, 50
_LOG_POSITIONS = 300
_LOG_DIGITS = 3
_NUMBER_WIDTH = "-10000.00"
_NUMBER_MARGIN_PX = 16
_NARROWEST_SLIDER_PX = 70
_MARK_PX, _TRUSTED_PX = 2, 3
_MARK_COLOUR, _TRUSTED_COLOUR = "#b0b0b0", "#3f9c6b"


class SliderBox:
    """A number; the slider reaches over the useful part of its range, the box over all of it.

    Parameters
    ----------
    label, tooltip : str
        For the user.
    limits : tuple of float
        Smallest and largest number.
    span : tuple of float
        Between which numbers the slider moves: by its resolution by hand, by five times that with
        an arrow key.
    logarithmic : bool, optional
        The slider moves the size of the number, in equal ratios, and leaves its sign as it is;
        `span` is positive then.

    Attributes
    ----------
    resolution : float
        Finest step of the slider, 0.1 at first; the box takes finer ones.
    changed : Signal
        Emitted with the number whenever it changes, also while the slider is being dragged.
    native : QWidget
        What to put into a window.
    """

    changed = Signal(float)

    def __init__(
        self,
        label: str,
        tooltip: str,
        *,
        limits: tuple[float, float],
        span: tuple[float, float],
        logarithmic: bool = False,
    ) -> None:
        self.label = label
        self._logarithmic = logarithmic
        self.slider = _MarkedSlider()
        self.box = QDoubleSpinBox()
        self.box.setDecimals(2)
        self.box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        text_px = self.box.fontMetrics().horizontalAdvance(_NUMBER_WIDTH)
        self.box.setFixedWidth(text_px + _NUMBER_MARGIN_PX)
        self.slider.setMinimumWidth(_NARROWEST_SLIDER_PX)
        self.native = QWidget()
        self.native.setToolTip(tooltip)
        layout = QHBoxLayout(self.native)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.box)
        self._wheel = _WheelGuard(self.native)
        for part in (self.slider, self.box):
            part.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            part.installEventFilter(self._wheel)
            part.setAccessibleName(label)
        self.limits = limits
        self._resolution = _RESOLUTION
        self.span = span
        self.slider.valueChanged.connect(self._on_slider)
        self.box.valueChanged.connect(self._on_box)

    @property
    def value(self) -> float:
        """The number; ValueError if it is set to one outside the limits."""
        return float(self.box.value())

    @value.setter
    def value(self, value: float) -> None:
        low, high = self.limits
        if not low <= value <= high:
            raise ValueError(f"{self.label} is {value:g}; give a number from {low:g} to {high:g}.")
        self.box.setValue(value)

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest number; the number follows when they are set."""
        return float(self.box.minimum()), float(self.box.maximum())

    @limits.setter
    def limits(self, limits: tuple[float, float]) -> None:
        self.box.setRange(*limits)

    @property
    def span(self) -> tuple[float, float]:
        """Between which numbers the slider moves; the number stays when it is set."""
        return self._span

    @span.setter
    def span(self, span: tuple[float, float]) -> None:
        self._span = span
        self.box.setSingleStep(_KEY_STEPS * self._resolution)
        with QSignalBlocker(self.slider):
            if self._logarithmic:
                self.slider.setRange(0, _LOG_POSITIONS)
                self.slider.setPageStep(_LOG_POSITIONS // 10)
            else:
                self.slider.setRange(*(round(end / self._resolution) for end in span))
                self.slider.setSingleStep(_KEY_STEPS)
                self.slider.setPageStep(_PAGE_STEPS)
        self._place_slider()

    @property
    def resolution(self) -> float:
        """Finest step of the slider; the number stays when it is set."""
        return self._resolution

    @resolution.setter
    def resolution(self, resolution: float) -> None:
        self._resolution = resolution
        self.box.setDecimals(max(2, 1 - math.floor(math.log10(resolution))))
        self.span = self._span

    def mark(self, at: float, trusted: tuple[float, float]) -> None:
        """Draw a mark at a number, and a line under the part of the slider that is trusted."""
        self.slider.mark = at / self._resolution
        self.slider.trusted = (trusted[0] / self._resolution, trusted[1] / self._resolution)
        self.slider.update()

    def _on_slider(self, position: int) -> None:
        if self._logarithmic:
            low, high = self._span
            size = low * (high / low) ** (position / _LOG_POSITIONS)
            digits = _LOG_DIGITS - 1 - math.floor(math.log10(size))
            self.box.setValue(math.copysign(round(size, digits), self.value))
        else:
            self.box.setValue(position * self._resolution)

    def _on_box(self, value: float) -> None:
        self._place_slider()
        self.changed.emit(value)

    def _place_slider(self) -> None:
        position = self.value / self._resolution
        if self._logarithmic:
            low, high = self._span
            size = max(abs(self.value), low)
            position = _LOG_POSITIONS * math.log(size / low) / math.log(high / low)
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(position))


class _MarkedSlider(QSlider):  # type: ignore[misc]
    """A slider with a mark at one position, and a line under a part of it."""

    mark: float | None = None
    trusted: tuple[float, float] | None = None

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        if self.trusted is not None:
            left, right = (self._pixel(end) for end in self.trusted)
            top = self.height() - _TRUSTED_PX
            painter.fillRect(left, top, right - left + 1, _TRUSTED_PX, QColor(_TRUSTED_COLOUR))
        if self.mark is not None and self.minimum() <= self.mark <= self.maximum():
            x = self._pixel(self.mark) - _MARK_PX // 2
            painter.fillRect(x, 0, _MARK_PX, self.height(), QColor(_MARK_COLOUR))
        painter.end()
        super().paintEvent(event)

    def _pixel(self, position: float) -> int:
        """Where the middle of the handle is at a position."""
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        handle = QStyle.SubControl.SC_SliderHandle
        handle_px = (
            self.style()
            .subControlRect(QStyle.ComplexControl.CC_Slider, option, handle, self)
            .width()
        )
        inside = round(min(max(position, self.minimum()), self.maximum()))
        length_px = self.width() - handle_px
        at = QStyle.sliderPositionFromValue(self.minimum(), self.maximum(), inside, length_px)
        return int(at + handle_px // 2)


class _WheelGuard(QObject):  # type: ignore[misc]
    """Leaves the mouse wheel to the dock that is scrolled, unless a widget was clicked before."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False
