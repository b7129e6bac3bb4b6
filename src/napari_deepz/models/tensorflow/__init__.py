"""The authors' own models: TensorFlow SavedModel folders."""

from napari_deepz.models.tensorflow.conversion import (
    GRAPH_FILE,
    PUBLISHED_RANGE_UM,
    check_tensorflow,
    convert_saved_model,
    is_saved_model,
    suggested_name,
)

__all__ = [
    "GRAPH_FILE",
    "PUBLISHED_RANGE_UM",
    "check_tensorflow",
    "convert_saved_model",
    "is_saved_model",
    "suggested_name",
]
