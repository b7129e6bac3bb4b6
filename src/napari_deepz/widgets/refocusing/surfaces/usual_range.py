"""The flat range and the tilts that the dock proposes for a model and an image."""

from __future__ import annotations

import math

_STEPS_UM = tuple(digit * 10.0**power for power in range(-2, 3) for digit in (1, 2, 5))
_USUAL_STEP_UM = 0.5
_PLANES = 40
_ROUNDING = 1e-6
_EDGE_STEP_UM = 0.1


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


def usual_tilt(
    axial_range_um: tuple[float, float], length_um: float
) -> tuple[tuple[float, float], float]:
    """Tilts in degrees with which an image stays within the range of a model, and a fine step.

    Parameters
    ----------
    axial_range_um : tuple of float
        Of the model.
    length_um : float
        Of the image along the tilt; it is tilted about its centre.

    Returns
    -------
    tuple
        Smallest and largest tilt, and the tilt of a tenth of a micrometre at the edge.
    """
    half_um = max(length_um / 2, _ROUNDING)
    steepest = math.degrees(math.atan(max(map(abs, axial_range_um)) / half_um))
    step = math.degrees(math.atan(_EDGE_STEP_UM / half_um))
    return (-steepest, steepest), step
