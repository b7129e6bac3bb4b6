"""What titles and labels say of who made the planes, and which there are."""

from __future__ import annotations

from collections.abc import Sequence

from napari_deepz.provenance import Provenance


def origin_of(record: Provenance) -> str:
    """Who made the planes, as a title says it."""
    if record.kind != "inferred":
        return "SIMULATED, not measured" if record.kind == "simulated" else "measured"
    count = len(record.further_inputs) + 1
    images = f"{count} images" if count > 1 else "one image"
    if record.spread:
        return f"HOW FAR virtual planes of {images} may be off, not measured"
    if record.merge == "linear":
        return f"INTERPOLATED between {images}, not measured"
    by = " ".join(filter(None, ("by", record.model_name or "a network", record.model_version)))
    return f"INFERRED {by} from {images}, not measured"


def maker_of(record: Provenance) -> str:
    """The same in few words, for a label in the picture."""
    return f"{record.kind} ({record.model_name})" if record.model_name else record.kind


def reach_of(z_um: Sequence[float]) -> str:
    """Which depths there are."""
    return f"{z_um[0]:g} to {z_um[-1]:g} µm in steps of {z_um[1] - z_um[0]:g} µm"
