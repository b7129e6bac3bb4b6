"""The flat range that the dock proposes for a model."""

from __future__ import annotations

import math

_STEPS_UM = tuple(digit * 10.0**power for power in range(-2, 3) for digit in (1, 2, 5))
_USUAL_STEP_UM = 0.5
_PLANES = 40
_ROUNDING = 1e-6


def usual_range(axial_range_um: tuple[float, float]) -> tuple[float, float, float]:
    """First plane, last plane and step in µm, round numbers with the image's own plane among them.

    Some forty planes over the whole range of a model; half a µm apart where that is about right.
    """
    low_um, high_um = axial_range_um
    wanted_um = (high_um - low_um) / _PLANES
    step_um = _USUAL_STEP_UM
    if not 0.4 < wanted_um / step_um < 2.5:
        step_um = min(_STEPS_UM, key=lambda step: abs(math.log(step / wanted_um)))
    first = math.ceil(low_um / step_um - _ROUNDING)
    last = math.floor(high_um / step_um + _ROUNDING)
    if first >= last:
        return low_um, high_um, step_um
    return round(first * step_um, 6), round(last * step_um, 6), step_um
