"""The form in which the user chooses a virtual and a measured stack."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, FloatSpinBox, PushButton
from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QComboBox

from napari_deepz.optics import PLAUSIBLE_Z_STEPS_UM
from napari_deepz.widgets.comparing.pairing import (
    Pairing,
    align,
    best_match,
    is_virtual_stack,
    pairing,
)
from napari_deepz.widgets.shared.forms import Rows
from napari_deepz.widgets.shared.layer_sizes import count_z_in_um, set_z_step
from napari_deepz.widgets.shared.layers import names_of, slice_again
from napari_deepz.widgets.shared.measured import UnknownStep, can_be_measured
from napari_deepz.widgets.shared.placement import View
from napari_deepz.widgets.shared.plain_text import tooltip
from napari_deepz.widgets.shared.reopened import recognise
from napari_deepz.widgets.shared.results import input_z_um, pictures_of, record_of

_NARROWEST_CHARACTERS = 14


def _show_whole_name(choice: ComboBox, layer: Image | None) -> None:
    """In the tooltip, as the menu cuts it."""
    choice.native.setToolTip(tooltip(choice.tooltip if layer is None else layer.name))


class PairForm:
    """Two menus of layers, and the distance of the measured planes where it is not known.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are offered.

    Attributes
    ----------
    changed : Signal
        Emitted when another layer is chosen, or a z step was written.
    widget : Rows
        What to put into a window.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.virtual_choice = ComboBox(
            label="Virtual",
            choices=lambda _: names_of(viewer.layers, is_virtual_stack),
            nullable=True,
            tooltip="Virtual planes over z, made by the dock Virtual refocusing.",
        )
        self.measured_choice = ComboBox(
            label="Measured",
            choices=lambda _: names_of(viewer.layers, can_be_measured),
            nullable=True,
            tooltip="A focal stack of the same place. Of a movie the time point that is shown is "
            "taken.",
        )
        for choice in (self.virtual_choice, self.measured_choice):
            policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            choice.native.setSizeAdjustPolicy(policy)
            choice.native.setMinimumContentsLength(_NARROWEST_CHARACTERS)
            choice.changed.connect(partial(_show_whole_name, choice))
        self.z_step = FloatSpinBox(
            label="z step (µm)",
            min=PLAUSIBLE_Z_STEPS_UM[0],
            max=PLAUSIBLE_Z_STEPS_UM[1],
            step=0.1,
            value=1.0,
            tooltip="Distance of neighbouring planes of the measured stack.",
        )
        self.z_step.native.setDecimals(4)
        self.write = PushButton(
            text="Write to layer", tooltip="Give the measured layer this z step now."
        )
        self.widget = Rows(self.virtual_choice, self.measured_choice, self.z_step, self.write)
        self._ask_z_step(False)
        self.virtual_choice.changed.connect(self._on_virtual)
        self.measured_choice.changed.connect(lambda _: self.changed.emit())
        self.write.changed.connect(self.write_z_step)

    @property
    def virtual(self) -> Image | None:
        """The chosen result."""
        return self.virtual_choice.value

    @property
    def measured(self) -> Image | None:
        """The chosen measured stack."""
        return self.measured_choice.value

    def reset_choices(self) -> None:
        """Look again which layers there are; where none is chosen, the likeliest is."""
        for layer in self._viewer.layers:
            recognise(layer)
        for choice in (self.virtual_choice, self.measured_choice):
            choice.reset_choices()
        if self.virtual is None and len(self.virtual_choice.choices) > 1:
            self.virtual_choice.value = self.virtual_choice.choices[1]
        self._suggest_measured()

    def pairing(self) -> Pairing:
        """Find which planes of the two chosen layers belong together; both must be chosen.

        Raises
        ------
        ValueError
            If they cannot be compared; one sentence.
        """
        self._ask_z_step(False)
        try:
            assert self.virtual is not None
            assert self.measured is not None
            if not isinstance(self.virtual.data, np.ndarray):
                self.virtual.data = np.asarray(self.virtual.data)
            align(self.virtual, self.measured, View.of(self._viewer))
            return pairing(self.virtual, self.measured, View.of(self._viewer))
        except UnknownStep:
            self._ask_z_step(True)
            raise

    def write_z_step(self) -> None:
        """Write the entered distance into the measured layer; the input plane stays in place."""
        record = record_of(self.virtual) if self.virtual is not None else None
        if self.measured is None or self.virtual is None or record is None:
            return
        fixed_um = input_z_um(self.virtual, record)
        if fixed_um is None:
            return
        set_z_step(self.measured, self.z_step.value, fixed_um=fixed_um)
        pictures = {self.virtual, *pictures_of(self._viewer, self.measured)}
        for made in pictures:
            count_z_in_um(made)
        slice_again(self._viewer, self.measured, *pictures)
        self._viewer.reset_view()
        self.changed.emit()

    def suggest(self) -> None:
        """Choose the best fitting measured stack where none is chosen."""
        self._suggest_measured()

    def _on_virtual(self, _: Any) -> None:
        self._suggest_measured()
        self.changed.emit()

    def _suggest_measured(self) -> None:
        if self.measured is None and self.virtual is not None:
            layers = [layer for layer in self.measured_choice.choices if layer is not None]
            self.measured_choice.value = best_match(self.virtual, layers, View.of(self._viewer))

    def _ask_z_step(self, wanted: bool) -> None:
        for row in (self.z_step, self.write):
            self.widget.show_row(row, wanted)
