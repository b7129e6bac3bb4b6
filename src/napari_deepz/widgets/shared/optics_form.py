"""The form in which the user says through which optics the image was taken."""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary, ref

from magicgui.widgets import ComboBox, FloatSpinBox, SpinBox
from napari.layers import Layer
from psygnal import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_deepz.sampling import IMMERSION_INDICES, OBJECTIVES, parse_objective
from napari_deepz.widgets.shared.forms import Rows, Section

UNKNOWN, OTHER = "Not known", "As entered below"

_PARTS = ("na", "immersion_index", "wavelength_um")
_NM = 1000.0


class OpticsForm:
    """A menu of objectives, and their numbers; what the file says is filled in.

    Attributes
    ----------
    changed : Signal
        Emitted when the user changes something.
    widget : QWidget
        What to put into a window; the numbers are folded away.
    """

    changed = Signal()

    def __init__(self) -> None:
        media = ", ".join(f"{name} {index:g}" for name, index in IMMERSION_INDICES.items())
        self.objective = ComboBox(
            label="Objective",
            choices=[UNKNOWN, *OBJECTIVES, OTHER],
            tooltip="With which the image was taken; fills in the numbers below.",
        )
        self.na = FloatSpinBox(
            label="NA", min=0, max=1.69, step=0.05, tooltip="Numerical aperture; 0: not known."
        )
        self.immersion_index = FloatSpinBox(
            label="Immersion index",
            min=0,
            max=1.8,
            step=0.01,
            tooltip=f"Refractive index of the immersion ({media}); 0: not known.",
        )
        self.immersion_index.native.setDecimals(3)
        self.wavelength_nm = SpinBox(
            label="Emission (nm)",
            min=0,
            max=2000,
            step=5,
            tooltip="Wavelength of the light that the image shows, in nm; 0: not known.",
        )
        numbers = (self.na, self.immersion_index, self.wavelength_nm)
        self.numbers = Section("NA, immersion, emission", Rows(*numbers), folded=True)
        self.widget = QWidget()
        layout = QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(Rows(self.objective))
        layout.addWidget(self.numbers)
        self._layer: ref[Layer] | None = None
        self._typed: WeakKeyDictionary[Layer, dict[str, float | None]] = WeakKeyDictionary()
        self.objective.changed.connect(self._on_objective)
        for number in numbers:
            number.changed.connect(self._on_number)

    def values(self) -> dict[str, float | None]:
        """Numerical aperture, immersion and wavelength as in `Sampling`; None where not known."""
        given = (self.na.value, self.immersion_index.value, self.wavelength_nm.value / _NM)
        return {part: value or None for part, value in zip(_PARTS, given, strict=True)}

    def suggest(self, layer: Layer | None, stated: Mapping[str, float | None]) -> None:
        """Fill in what the user has said for a layer, or else what its file says."""
        self._layer = None if layer is None else ref(layer)
        known = stated if layer is None else self._typed.get(layer, stated)
        na, immersion_index, wavelength_um = (known.get(part) or 0.0 for part in _PARTS)
        self._fill(na, immersion_index)
        with self.wavelength_nm.changed.blocked():
            self.wavelength_nm.value = round(wavelength_um * _NM)

    def _fill(self, na: float, immersion_index: float) -> None:
        with self.na.changed.blocked(), self.immersion_index.changed.blocked():
            self.na.value, self.immersion_index.value = na, immersion_index
        with self.objective.changed.blocked():
            self.objective.value = self._named(na, immersion_index)

    def _on_objective(self, name: str) -> None:
        if name != OTHER:
            na, immersion_index = (0.0, 0.0) if name == UNKNOWN else parse_objective(name)
            with self.na.changed.blocked(), self.immersion_index.changed.blocked():
                self.na.value, self.immersion_index.value = na or 0.0, immersion_index or 0.0
        self._on_change()

    def _on_number(self, _: float) -> None:
        with self.objective.changed.blocked():
            self.objective.value = self._named(self.na.value, self.immersion_index.value)
        self._on_change()

    def _on_change(self) -> None:
        layer = self._layer() if self._layer is not None else None
        if layer is not None:
            self._typed[layer] = self.values()
        self.changed.emit()

    def _named(self, na: float, immersion_index: float) -> str:
        """The entry of the menu with these numbers; the chosen one if it has them."""
        if not (na or immersion_index):
            return UNKNOWN
        fitting = [name for name in OBJECTIVES if parse_objective(name) == (na, immersion_index)]
        if self.objective.value in fitting:
            return str(self.objective.value)
        return fitting[0] if fitting else OTHER
