"""A slider with a number box, for numbers that the user sets while watching what they do."""

from __future__ import annotations

import math

from psygnal import Signal
from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSlider, QWidget

_RESOLUTION = 0.1
_KEY_STEPS, _PAGE_STEPS = 5, 50
_LOG_POSITIONS = 300
_LOG_DIGITS = 3
_NUMBER_WIDTH = "-10000.00"
_NUMBER_MARGIN_PX = 16
_NARROWEST_SLIDER_PX = 70


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
        self.slider = QSlider(Qt.Orientation.Horizontal)
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


class _WheelGuard(QObject):  # type: ignore[misc]
    """Leaves the mouse wheel to the dock that is scrolled, unless a widget was clicked before."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False
