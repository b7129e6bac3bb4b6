"""The optics that a file states, and whether a microscope can have them."""

from __future__ import annotations

from dataclasses import dataclass

from napari_deepz.io.noticing import note
from napari_deepz.sampling import Sampling


@dataclass(frozen=True)
class StatedOptics:
    """What a file says, believable or not; None where it says nothing.

    Attributes
    ----------
    na : float or None
        Numerical aperture of the objective.
    immersion_index : float or None
        Refractive index of its immersion.
    wavelengths_um : tuple of float or None
        Emission wavelengths in µm, as many as the file names.
    """

    na: float | None = None
    immersion_index: float | None = None
    wavelengths_um: tuple[float | None, ...] = ()


def plausible_optics(name: str, stated: StatedOptics, channels: int) -> StatedOptics:
    """Believe stated optics only as far as a microscope can have them.

    Parameters
    ----------
    name : str
        The image, for the message.
    stated : StatedOptics
        What its file says.
    channels : int
        How many the image has.

    Returns
    -------
    StatedOptics
        The same without what cannot be believed; wavelengths are one for each channel, or none.
    """
    na, index = stated.na, stated.immersion_index
    if na is not None and not _can_be(na=na):
        _note(f"The numerical aperture stored in '{name}', {na:g}, is none that an objective has")
        na = None
    if index is not None and not _can_be(immersion_index=index):
        _note(f"The refractive index stored in '{name}', {index:g}, is none of an immersion")
        index = None
    if na is not None and index is not None and not _can_be(na=na, immersion_index=index):
        _note(
            f"'{name}' states a numerical aperture of {na:g} in an immersion of index {index:g}, "
            "which is not possible",
            what="the immersion",
        )
        index = None
    wavelengths_um = stated.wavelengths_um if len(stated.wavelengths_um) == channels else ()
    for wavelength_um in dict.fromkeys(wavelengths_um):
        if wavelength_um is not None and not _can_be(wavelength_um=wavelength_um):
            _note(
                f"The emission wavelength stored in '{name}', {wavelength_um:g} µm, is none that "
                "a microscope shows"
            )
            wavelengths_um = tuple(None if w == wavelength_um else w for w in wavelengths_um)
    known = any(wavelength_um is not None for wavelength_um in wavelengths_um)
    return StatedOptics(na, index, wavelengths_um if known else ())


def _can_be(**optics: float) -> bool:
    try:
        Sampling(pixel_size_um=1, **optics)
    except ValueError:
        return False
    return True


def _note(sentence: str, *, what: str = "it") -> None:
    note(f"{sentence}, so {what} counts as unknown.")
