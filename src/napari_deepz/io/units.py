"""Units as microscopes and programs spell them, turned into µm and seconds."""

from __future__ import annotations

import math

from napari_deepz.io.noticing import note
from napari_deepz.optics import PLAUSIBLE_PIXELS_UM, PLAUSIBLE_Z_STEPS_UM

_LENGTHS_UM = {
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "pm": 1e-6,
    "picometer": 1e-6,
    "picometre": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "in": 25400.0,
    "inch": 25400.0,
}

_TIMES_S = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "μs": 1e-6,
    "us": 1e-6,
    "microsecond": 1e-6,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
}

# Resolutions in dots per inch or cm are nearly always left-overs of printing (72, 96, 300 dpi);
# only a pixel finer than 2540 dpi can be meant as a distance in the sample.
_LARGEST_PIXEL_FROM_PRINT_UNITS_UM = 10.0
_PRINT_UNITS = ("in", "inch", "cm", "centimeter", "centimetre")
_SQUARE_TOLERANCE = 0.01


def length_um(value: object, unit: object) -> float | None:
    """Convert a length to µm.

    Parameters
    ----------
    value : object
        A number, or text that holds one.
    unit : object
        Its unit, in any common spelling ("micron", "um", "µm", "\\\\u00B5m", "nm", "inch", ...).

    Returns
    -------
    float or None
        µm; None when the value is not a positive number or the unit is not a length.
    """
    return _converted(value, _LENGTHS_UM.get(_plain(unit)))


def time_s(value: object, unit: object) -> float | None:
    """Convert a time to seconds, as `length_um` does for lengths."""
    return _converted(value, _TIMES_S.get(_plain(unit)))


def pixel_um_from_resolution(pixels_per_unit: object, unit: object) -> float | None:
    """Pixel size in µm from a resolution such as the TIFF tags hold.

    Resolutions per inch or cm that belong to printing are taken as unknown.

    Parameters
    ----------
    pixels_per_unit : object
        Pixels in one `unit`.
    unit : object
        Unit of length.

    Returns
    -------
    float or None
        Width of a pixel in µm, None when unknown.
    """
    pixels = positive_number(pixels_per_unit)
    size_um = None if pixels is None else length_um(1 / pixels, unit)
    if size_um is None:
        return None
    if _plain(unit) in _PRINT_UNITS and size_um > _LARGEST_PIXEL_FROM_PRINT_UNITS_UM:
        return None
    return size_um


def z_step_from_spacing(spacing: object, unit: object, pixel_um: float | None) -> float | None:
    """Distance between planes in µm from ImageJ's spacing, which may be negative.

    An inch or cm that belongs to printing stays in ImageJ's description of a stack made of
    pictures; then neither the pixel size nor the spacing is a distance in the sample.

    Parameters
    ----------
    spacing : object
        Number of units.
    unit : object
        Unit of length.
    pixel_um : float or None
        Width of a pixel in µm, None when unknown.

    Returns
    -------
    float or None
        Distance in µm, None when unknown.
    """
    if not isinstance(spacing, int | float):
        return None
    if pixel_um is None and _plain(unit) in _PRINT_UNITS:
        return None
    return length_um(abs(spacing), unit)


def plausible_pixel_um(
    name: str, x_um: float | None, y_um: float | None
) -> tuple[float | None, str | None]:
    """Believe a stored pixel size only if a microscope can have it and the pixels are square.

    Parameters
    ----------
    name : str
        The image, for the message.
    x_um, y_um : float or None
        Width and height of a pixel in µm as the file states them.

    Returns
    -------
    pixel_size_um : float or None
        Mean of both in µm; None when either is unknown, or they cannot be believed.
    problem : str or None
        Why they cannot be believed, see `ImageSeries.pixel_size_problem`.
    """
    if x_um is None or y_um is None:
        return None, None
    if abs(x_um - y_um) > _SQUARE_TOLERANCE * min(x_um, y_um):
        problem = f"The pixels of '{name}' are stored as {x_um:.4g} µm wide but {y_um:.4g} µm high"
    elif not _within(x_um, PLAUSIBLE_PIXELS_UM):
        problem = f"The pixel size stored in '{name}', {x_um:g} µm, is none that a microscope has"
    else:
        return (x_um + y_um) / 2, None
    note(f"{problem}, so it counts as unknown.")
    return None, problem


def plausible_z_step_um(name: str, z_um: float | None) -> float | None:
    """Believe a stored distance between planes only if a microscope can have it.

    Parameters
    ----------
    name : str
        The image, for the message.
    z_um : float or None
        The distance in µm as the file states it.

    Returns
    -------
    float or None
        The same; None when it is unknown or cannot be believed.
    """
    if z_um is None or _within(z_um, PLAUSIBLE_Z_STEPS_UM):
        return z_um
    note(
        f"The z step stored in '{name}', {z_um:g} µm, is none that a microscope has, so it "
        "counts as unknown."
    )
    return None


def _within(size_um: float, range_um: tuple[float, float]) -> bool:
    return range_um[0] <= size_um <= range_um[1]


def _plain(unit: object) -> str:
    text = str(unit).strip().casefold().replace("\\u00b5", "μ").replace("\\u03bc", "μ")
    if text not in _LENGTHS_UM and text not in _TIMES_S:
        text = text.removesuffix("es") if text == "inches" else text.removesuffix("s")
    return text


def positive_number(value: object) -> float | None:
    """Read a number, or text that holds one; None where it is not positive."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _converted(value: object, factor: float | None) -> float | None:
    number = positive_number(value)
    return None if number is None or factor is None else number * factor
