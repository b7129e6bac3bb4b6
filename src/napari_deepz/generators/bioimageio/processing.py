"""What a bioimage.io package does to intensities, in terms of `napari_deepz.intensity`."""

from __future__ import annotations

from typing import Any

from napari_deepz.generators.archives import PackageFiles
from napari_deepz.generators.bioimageio.description import Operation, TensorDescription
from napari_deepz.generators.errors import ModelError, quoted
from napari_deepz.intensity import is_method

_CAST = "ensure_dtype"


def normalisation_of(image: TensorDescription, files: PackageFiles, *, joined: bool) -> str:
    """Name the normalisation that an input's preprocessing is.

    Parameters
    ----------
    image : TensorDescription
        The input with the image.
    files : PackageFiles
        For the sentence.
    joined : bool
        It holds the DPM too, which no normalisation may touch.

    Raises
    ------
    ModelError
        If it is none that napari-deepz knows.
    """
    if joined:
        check_untouched(image, files)
    steps = _steps(image, image.preprocessing, files)
    if not steps:
        return "as-is"
    if len(steps) == 1 and _per_image(steps[0].settings, image):
        (step,) = steps
        if step.id == "zero_mean_unit_variance":
            return "mean-std"
        if step.id == "scale_range" and step.settings.get("reference_tensor") in (None, image.id):
            ends = [
                step.settings.get("min_percentile", 0),
                step.settings.get("max_percentile", 100),
            ]
            if all(isinstance(end, int | float) for end in ends):
                method = f"percentiles-{ends[0]:g}-{ends[1]:g}"
                if is_method(method):
                    return method
    raise _unknown(steps, files)


def check_untouched(tensor: TensorDescription, files: PackageFiles) -> None:
    """Refuse an input with distances in it that are changed before the network."""
    if steps := _steps(tensor, tensor.preprocessing, files):
        raise _unknown(steps, files)


def check_postprocessing(output: TensorDescription, files: PackageFiles) -> None:
    """Refuse an output that is changed after the network."""
    if steps := _steps(output, output.postprocessing, files):
        raise _unknown(steps, files)


def _steps(
    tensor: TensorDescription, operations: list[Operation], files: PackageFiles
) -> list[Operation]:
    """The operations without casts to float32, which is what all is computed in."""
    casts = [operation.settings.get("dtype") for operation in operations if operation.id == _CAST]
    described = tensor.data if isinstance(tensor.data, list) else [tensor.data]
    final = casts[-1] if casts else described[0].type
    if final != "float32":
        raise ModelError(
            f"The network in {files.called} works on numbers of the type {quoted(final)}; "
            "napari-deepz only uses networks that work on float32."
        )
    return [operation for operation in operations if operation.id != _CAST]


def _per_image(settings: dict[str, Any], image: TensorDescription) -> bool:
    """Whether a measure is taken over the whole image."""
    axes = settings.get("axes")
    return axes is None or (isinstance(axes, list) and {"y", "x"} <= {str(axis) for axis in axes})


def _unknown(steps: list[Operation], files: PackageFiles) -> ModelError:
    names = ", ".join(f"'{quoted(step.id)}'" for step in steps)
    return ModelError(
        f"The bioimage.io package {files.called} changes intensities or distances in a way that "
        f"napari-deepz does not know: {names}."
    )
