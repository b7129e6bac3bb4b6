"""Traces as an NWB file (https://nwb-schema.readthedocs.io), with its core types alone."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_deepz.atomic_files import WriteError, reason_of, written_beside
from napari_deepz.neurons.footprints import NUCLEUS_RADIUS_UM
from napari_deepz.neurons.traces import NeuronTraces
from napari_deepz.sampling import Sampling

Array = NDArray[np.float64]

NWB = ".nwb"
_MODULE = "ophys"
_SOFTWARE = "napari-deepz"
_Z_STEP_UM = 0.5
_M = 1e-6
_UNKNOWN = "not known"


def save_nwb(found: NeuronTraces, path: str | os.PathLike[str]) -> None:
    """Write traces as an NWB file.

    Neurons are balls of voxels in a grid whose origin lies at the shallowest of them; F, F0, dF/F
    and events are those of the separable ones.

    Parameters
    ----------
    found : NeuronTraces
        With known sampling and times.
    path : path
        The file, ending in .nwb; one that was written so before is replaced.

    Raises
    ------
    ValueError
        If pynwb is missing, times or pixel size are not known, or another file has that name; one
        sentence.
    OSError
        If it cannot be written; one sentence.
    """
    path = Path(path)
    require_nwb(path)
    sampling = found.record.sampling
    if found.rate_hz is None:
        raise ValueError("NWB files count in seconds: say how many frames there are per second.")
    if sampling is None:
        raise ValueError("NWB files place neurons in micrometres: say the pixel size.")
    import h5py
    import pynwb

    file = pynwb.NWBFile(
        session_description=" ".join(
            (
                f"{len(found)} neurons of '{found.record.input_name}'.",
                "When it was recorded is not known: session_start_time is when this was written.",
                *found.notes,
            )
        ),
        identifier=str(uuid.uuid4()),
        session_start_time=datetime.now(UTC),
        source_script=found.record.to_json(),
        source_script_file_name=_SOFTWARE,
    )
    planes = _segmented(file, found, sampling)
    _add_traces(file, found, planes, found.rate_hz)
    try:
        with (
            written_beside(path) as beside,
            h5py.File(beside, "w") as opened,
            pynwb.NWBHDF5IO(file=opened, mode="w") as io,
        ):
            io.write(file)
    except OSError as error:
        raise WriteError(f"'{path.name}' could not be written: {reason_of(error)}.") from error


def require_nwb(path: Path) -> None:
    """Refuse a name under which no NWB file may be written, and say what is missing.

    Raises
    ------
    ValueError
        One sentence.
    """
    if path.suffix.lower() != NWB:
        raise ValueError(f"'{path.name}' is no NWB file: let the name end with {NWB}.")
    try:
        import h5py
        import pynwb  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "NWB files need pynwb: install it with 'pip install napari-deepz[nwb]'."
        ) from error
    if not path.exists():
        return
    try:
        with h5py.File(path, "r") as file:
            own = file["general/source_script"].attrs["file_name"] == _SOFTWARE
    except (OSError, KeyError):
        own = False
    if not own:
        raise ValueError(f"'{path}' exists and is no file of neurons; choose another output name.")


def _segmented(file: Any, found: NeuronTraces, sampling: Sampling) -> Any:
    """The neurons as voxels of a plane segmentation, one row each."""
    from pynwb.ophys import OpticalChannel, PlaneSegmentation

    wavelength_um = sampling.wavelength_um
    step_um = (sampling.pixel_size_um, sampling.pixel_size_um, _Z_STEP_UM)
    start_z_um = float(np.floor(found.places_um[:, 0].min() - NUCLEUS_RADIUS_UM))
    optics = "; ".join(
        f"{name} {_UNKNOWN if value is None else format(value, 'g')}"
        for name, value in (("NA", sampling.na), ("immersion index", sampling.immersion_index))
    )
    imaging = file.create_imaging_plane(
        name="ImagingPlane",
        description=f"Wide-field frames; {optics}. Depths are inferred from virtual planes.",
        optical_channel=OpticalChannel(
            name="OpticalChannel",
            description="Emission of the indicator.",
            emission_lambda=float("nan") if wavelength_um is None else wavelength_um * 1000,
        ),
        device=file.create_device(name="Microscope", description=optics),
        excitation_lambda=float("nan"),
        indicator=_UNKNOWN,
        location=_UNKNOWN,
        imaging_rate=found.rate_hz,
        grid_spacing=[side * _M for side in step_um],
        grid_spacing_unit="meters",
        origin_coords=[0.0, 0.0, start_z_um * _M],
        origin_coords_unit="meters",
    )
    planes = PlaneSegmentation(
        name="PlaneSegmentation",
        description="A ball of the size of a nucleus at each neuron, in voxels of the grid.",
        imaging_plane=imaging,
    )
    for name, text in (
        ("neuron", "Number by which the neuron is known."),
        ("z_um", "Depth from the plane at 0 µm."),
        ("y_um", "From the centre of the first pixel, downwards."),
        ("x_um", "From the centre of the first pixel, to the right."),
        ("snr", "Median light at rest over its error in a frame."),
        ("separable", "Whether its light at rest can be told from that of its neighbours."),
        ("inferred", "What of it is inferred and not measured."),
    ):
        planes.add_column(name=name, description=text)
    for row, (z_um, y_um, x_um) in enumerate(found.places_um.tolist()):
        centre = np.array([x_um, y_um, z_um - start_z_um]) / step_um
        planes.add_roi(
            voxel_mask=_ball(centre, np.array(step_um)),
            neuron=int(found.neurons.ids[row]),
            z_um=z_um,
            y_um=y_um,
            x_um=x_um,
            snr=float(found.snr[row]),
            separable=bool(found.separable[row]),
            inferred=found.inferred(row),
        )
    return planes


def _ball(centre: Array, step_um: Array) -> list[tuple[int, int, int, float]]:
    """Voxels x, y, z, not below zero, within a nucleus; at least the nearest one."""
    middle = np.maximum(np.rint(centre), 0).astype(int)
    reach = np.ceil(NUCLEUS_RADIUS_UM / step_um).astype(int)
    sides = [np.arange(-one, one + 1) for one in reach]
    around = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3) + middle
    near = np.linalg.norm((around - centre) * step_um, axis=1) <= NUCLEUS_RADIUS_UM
    inside = around[near & (around >= 0).all(axis=1)]
    voxels = inside if len(inside) else middle[None]
    return [(x, y, z, 1.0) for x, y, z in voxels.tolist()]


def _add_traces(file: Any, found: NeuronTraces, planes: Any, rate_hz: float) -> None:
    from pynwb import TimeSeries
    from pynwb.ophys import ImageSegmentation

    module = file.create_processing_module(
        name=_MODULE, description="Neurons, found and measured by napari-deepz."
    )
    segmentation = ImageSegmentation(name="ImageSegmentation", plane_segmentations=[planes])
    module.add(segmentation)
    _add_responses(module, found, planes, rate_hz)
    module.add(
        TimeSeries(
            name="Tracks",
            data=found.tracks_um,
            unit="micrometers",
            rate=rate_hz,
            starting_time=0.0,
            description="z, y and x of each neuron, in the order of PlaneSegmentation.",
        )
    )


def _add_responses(module: Any, found: NeuronTraces, planes: Any, rate_hz: float) -> None:
    from pynwb.ophys import DfOverF, Fluorescence

    separable = np.flatnonzero(found.separable)
    if not len(separable):
        return
    traces, light_from = found.activity, f"Light from {found.light_from}"
    # Within the file first: only there a series may refer to rows of the segmentation.
    fluorescence, ratio = Fluorescence(name="Fluorescence"), DfOverF(name="DfOverF")
    module.add(fluorescence)
    module.add(ratio)
    for container, name, values, unit, text in (
        (fluorescence, "F", traces.light, "counts", f"{light_from}, bleaching divided out."),
        (fluorescence, "F0", traces.rest, "counts", "Light at rest, a running percentile of F."),
        (fluorescence, "Events", traces.events, "dF/F", "Rises of dF/F, where they begin."),
        (ratio, "DfOverF", traces.dff, "dF/F", "(F - F0) / F0; NaN where F0 is too weak."),
    ):
        container.create_roi_response_series(
            name=name,
            data=values[separable].T,
            rois=planes.create_roi_table_region(
                region=separable.tolist(), description="Those that are separable."
            ),
            unit=unit,
            rate=rate_hz,
            starting_time=0.0,
            description=text,
        )
