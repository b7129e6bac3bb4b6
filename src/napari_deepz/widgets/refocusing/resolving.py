"""What the user has set and the layer offers, settled once for all who want to know.

`resolve` is a pure function: the facts in the dock, the live picture and the run read its result,
and no one else asks the forms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari.layers import Image

from napari_deepz.engine.compute import Compute
from napari_deepz.engine.inputs import check_shape
from napari_deepz.engine.planes.choosing import best_merge
from napari_deepz.engine.planes.shares import Merge
from napari_deepz.engine.planes.spreading import require_spread
from napari_deepz.models.spec import ModelSpec
from napari_deepz.optics import PLAUSIBLE_PIXELS_UM
from napari_deepz.recipes.recipe import Recipe
from napari_deepz.sampling import Sampling
from napari_deepz.surfaces import Flat, FromImage, Surface
from napari_deepz.widgets.refocusing.further_form import FurtherInput
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.layer_sizes import drive_axis_of
from napari_deepz.widgets.shared.layers import frame_of, input_plane
from napari_deepz.widgets.shared.placement import Frame, LayerError, View, shown_index
from napari_deepz.widgets.shared.requests import RefocusRequest

NO_SIZE = "The image does not say its pixel size"

_COARSE_GRID_PX = 256
_SAME_PIXELS = 0.02


@dataclass(frozen=True, eq=False)
class Ground:
    """What a surface may depend on: the image that it is made for.

    Attributes
    ----------
    plane : InputPlane
        The image.
    sampling : Sampling
        Its own, or what the user said.
    frame : Frame or None
        Where it lies in the world; None while its layer has no pixel size.
    view : View
        What the viewer shows.
    """

    plane: InputPlane
    sampling: Sampling
    frame: Frame | None
    view: View


@dataclass(frozen=True)
class ChosenModel:
    """A model of the menu.

    Attributes
    ----------
    name : str
        How a recipe calls it.
    package : Path
        Where it lies.
    spec : ModelSpec
        Its card.
    """

    name: str
    package: Path
    spec: ModelSpec


SurfaceMaker = Callable[[Ground], tuple[Surface, tuple[str, ...]]]
"""Makes a surface for an image, and says what is noticed about it."""


@dataclass(frozen=True, eq=False)
class DockSettings:
    """What the user has set.

    Attributes
    ----------
    model : ChosenModel or None
        None where there is none.
    make_surface : SurfaceMaker
        Onto what is refocused.
    focus_um : float
        The depth that is looked at.
    shows_focus : bool
        Whether the plane at the focus is looked at in place of the surface.
    lacks_surface : bool
        Whether it is looked at also while there is no surface yet, as with too few anchors.
    typed_pixel_um : float
        For images that do not say their pixel size.
    optics : dict
        What the user says of numerical aperture, immersion and wavelength, as in `Sampling`.
    compute : Compute
        With what is computed.
    pinned : mapping of int to int
        Index by axis of the layer, where the input stays whatever the sliders do.
    further : tuple of FurtherInput
        Further input planes.
    merge : str or None
        How they are merged, as in `Recipe`.
    spread : bool
        Whether to show how far that may be off.
    """

    model: ChosenModel | None
    make_surface: SurfaceMaker
    focus_um: float
    shows_focus: bool
    lacks_surface: bool
    typed_pixel_um: float
    optics: dict[str, float | None]
    compute: Compute
    pinned: Mapping[int, int] = field(default_factory=dict)
    further: tuple[FurtherInput, ...] = ()
    merge: Merge | None = None
    spread: bool = False


@dataclass(frozen=True, eq=False)
class Resolved:
    """What these settings mean for a layer.

    Attributes
    ----------
    layer : Image or None
        What is refocused.
    model : ChosenModel or None
        With what.
    plane : InputPlane or None
        The plane of the layer; None where it has none that can be used.
    frame : Frame or None
        Where the plane lies; None while its pixel size is not known to its layer.
    request : RefocusRequest or None
        The run that is wanted; None where `problem` says why there can be none.
    shown : RefocusRequest or None
        The one plane that is looked at; None where `shown_problem` says why there is none.
    problem, shown_problem : str
        A sentence, or nothing.
    at_um : tuple of float
        Where all input planes were taken.
    """

    layer: Image | None
    model: ChosenModel | None
    plane: InputPlane | None = None
    frame: Frame | None = None
    request: RefocusRequest | None = None
    shown: RefocusRequest | None = None
    problem: str = ""
    shown_problem: str = ""
    at_um: tuple[float, ...] = (0.0,)

    @property
    def known_um(self) -> tuple[float, float] | None:
        """The depths that the model knows from the input planes; None without a model."""
        if self.model is None:
            return None
        low_um, high_um = self.model.spec.axial_range_um
        return low_um + min(self.at_um), high_um + max(self.at_um)


def resolve(settings: DockSettings, layer: Image | None, view: View) -> Resolved:
    """Settle what the settings mean for a layer, without reading its pixels.

    Parameters
    ----------
    settings : DockSettings
        What the user has set.
    layer : Image or None
        The chosen layer.
    view : View
        Tells which of its planes is the input, where it is not pinned.

    Returns
    -------
    Resolved
        Whatever is wrong is said in it; nothing is raised.
    """
    model = settings.model
    if layer is None or model is None:
        missing = f"Open {'an image' if layer is None else 'a model'} first."
        return Resolved(layer, model, problem=missing, shown_problem=missing)
    view = view.pinned(layer, settings.pinned)
    try:
        plane = input_plane(layer, view)
    except ValueError as error:
        return Resolved(layer, model, problem=str(error), shown_problem=str(error))
    try:
        check_shape(plane.shape)
    except ValueError as error:
        return Resolved(layer, model, plane, problem=str(error), shown_problem=str(error))
    frame, shown_problem = None, ""
    try:
        frame = frame_of(layer, view)
    except LayerError as error:
        shown_problem = str(error)
    try:
        sampling, notes = _sampling(plane, settings)
    except ValueError as error:
        return Resolved(layer, model, plane, frame, problem=str(error), shown_problem=str(error))
    model = replace(model, spec=model.spec.for_image(sampling))
    try:
        further = tuple(_further(one, plane, layer, view) for one in settings.further)
        if further and settings.spread:
            require_spread(settings.merge or best_merge(model.spec))
    except ValueError as error:
        return Resolved(layer, model, plane, frame, problem=str(error), shown_problem=str(error))
    ground = Ground(plane, sampling, frame, view)

    def request(surface: Surface, also: tuple[str, ...]) -> RefocusRequest:
        depth_range_um(surface, plane.shape, sampling.pixel_size_um)
        recipe = Recipe(
            source=plane.source,
            further=tuple(one.source for one in further),
            merge=settings.merge if further else None,
            spread=settings.spread and bool(further),
            surfaces=surface,
            sampling=sampling,
            model=model.name,
            compute=settings.compute,
        )
        return RefocusRequest(plane, recipe, model.package, (*also, *notes), further)

    run, problem = None, ""
    try:
        run = request(*settings.make_surface(ground))
    except ValueError as error:
        problem = str(error)
    shown = run
    if settings.shows_focus or (run is None and settings.lacks_surface):
        shown = request(Flat(settings.focus_um), ())
    if frame is None:
        shown = None
    elif shown is None:
        shown_problem = problem
    at_um = (0.0, *(one.source.at_um for one in further))
    return Resolved(layer, model, plane, frame, run, shown, problem, shown_problem, at_um)


def _further(one: FurtherInput, plane: InputPlane, layer: Image, view: View) -> InputPlane:
    """Take a further input plane, with its depth in its source."""
    axis = drive_axis_of(layer)
    if one.index is None or axis is None:
        also, input_index = input_plane(one.layer, view), 0
    else:
        also = input_plane(layer, view.pinned(layer, {axis: one.index}))
        input_index = shown_index(layer, view)[axis]
    if also.shape != plane.shape:
        raise ValueError(
            f"'{also.name}' has {also.shape[1]} × {also.shape[0]} pixels and '{plane.name}' "
            f"{plane.shape[1]} × {plane.shape[0]}: input planes must be of one size."
        )
    pixel_um, also_um = plane.pixel_size_um, also.pixel_size_um
    if pixel_um and also_um and not math.isclose(pixel_um, also_um, rel_tol=_SAME_PIXELS):
        raise ValueError(
            f"The pixels of '{also.name}' are {also_um:g} µm wide and those of '{plane.name}' "
            f"{pixel_um:g} µm: input planes must show the same place at the same magnification."
        )
    at_um = one.depth_um(input_index)
    if not at_um:
        raise ValueError(
            f"Say how far {also.title} lies from the input plane, beside it in µm: both cannot lie "
            "in the same place."
        )
    return replace(also, source=also.source.model_copy(update={"at_um": at_um}))


def _sampling(plane: InputPlane, settings: DockSettings) -> tuple[Sampling, tuple[str, ...]]:
    """Take what the image says, and else what the user says, and note that."""
    notes: tuple[str, ...] = ()
    pixel_size_um = plane.pixel_size_um
    if pixel_size_um is None:
        pixel_size_um = settings.typed_pixel_um
        smallest_um, largest_um = PLAUSIBLE_PIXELS_UM
        if not smallest_um <= pixel_size_um <= largest_um:
            raise ValueError(
                f"A pixel size of {pixel_size_um:g} µm is entered, which no microscope has: enter "
                f"one from {smallest_um:g} to {largest_um:g} µm."
            )
    if plane.pixel_size_um is None or plane.is_size_typed:
        how = "entered" if plane.is_size_typed else "filled in for it"
        notes = (f"{_about_pixel_size(plane)}; {pixel_size_um:g} µm is taken, as {how}.",)
    return Sampling(pixel_size_um=pixel_size_um, **settings.optics), notes


def _about_pixel_size(plane: InputPlane) -> str:
    if plane.doubtful_pixel_um is None:
        return NO_SIZE
    return (
        f"The image says that its pixels are {plane.doubtful_pixel_um:g} µm wide, which no "
        "microscope's are"
    )


def whole_steps(flat: Flat) -> Flat:
    """Make the planes of a flat range evenly spaced, by ending it before a last shorter step."""
    depths_um = flat.uniform_z_um
    if flat.step_um is None or len(depths_um) < 3:
        return flat
    step_um = depths_um[1] - depths_um[0]
    even = math.isclose(depths_um[-1] - depths_um[-2], step_um, rel_tol=1e-6)
    return flat if even else Flat(depths_um[0], depths_um[-2], flat.step_um)


def depth_range_um(
    surface: Surface, shape: tuple[int, int], pixel_size_um: float
) -> tuple[float, float]:
    """Smallest and largest depth in µm, quickly: formulas are evaluated on a coarse grid.

    Raises
    ------
    ValueError
        If the surface does not suit an image of this (Y, X) shape.
    """
    if isinstance(surface, FromImage):
        if surface.depths_um.shape != shape:
            return surface.range_um(shape, pixel_size_um)
        return float(surface.depths_um.min()), float(surface.depths_um.max())
    coarser = math.ceil(max(shape) / _COARSE_GRID_PX)
    coarse_shape = (math.ceil(shape[0] / coarser), math.ceil(shape[1] / coarser))
    return surface.range_um(coarse_shape, pixel_size_um * coarser)
