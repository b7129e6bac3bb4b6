"""What happens in the worker thread while Live is on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_deepz.engine.last_encoding import LastEncoding
from napari_deepz.engine.plane_cache import PlaneCache
from napari_deepz.engine.preview import Preview, Previewer, PreviewRequest, Rectangle
from napari_deepz.images import digest_of
from napari_deepz.models.library import load_model
from napari_deepz.models.package import Model
from napari_deepz.recipes.cooking import as_asked, further_planes
from napari_deepz.surfaces import Surface
from napari_deepz.watch import Watch
from napari_deepz.widgets.shared.input_plane import InputPlane
from napari_deepz.widgets.shared.news import Send
from napari_deepz.widgets.shared.requests import RefocusRequest


@dataclass(frozen=True, eq=False)
class Shown:
    """News of a preview.

    Attributes
    ----------
    generation : int
        That of the request.
    surface : Surface
        What it shows.
    preview : Preview
        The pixels.
    seconds : float
        From the beginning of the work to the preview.
    digest : str
        `images.digest_of` the image that it is made from.
    """

    generation: int
    surface: Surface
    preview: Preview
    seconds: float
    digest: str


class LiveWork:
    """Makes previews, and remembers what the next one needs as well.

    It is used by one thread at a time.

    Parameters
    ----------
    encoding : LastEncoding
        Shared with the runs of the dock.
    planes : PlaneCache
        Likewise.
    """

    def __init__(self, encoding: LastEncoding, planes: PlaneCache) -> None:
        self._encoding = encoding
        self._previewer = Previewer(planes)
        self._model: tuple[Path, Model] | None = None
        self._lazy: list[tuple[InputPlane, NDArray[Any]]] = []

    def forget(self) -> None:
        """Read model and image again the next time."""
        self._model, self._lazy = None, []

    def preview(
        self,
        request: RefocusRequest,
        generation: int,
        view: Rectangle,
        is_stale: Callable[[], bool],
        send: Send,
        watch: Watch,
    ) -> None:
        """Send what can be shown of a surface as `Shown`, ever better.

        Parameters
        ----------
        request : RefocusRequest
            A surface of one plane.
        generation : int
            Comes back with every preview.
        view : tuple of slice
            Rows and columns that the user sees.
        is_stale : callable
            As for `Previewer.iter_preview`.
        send : callable
            Takes them.
        watch : Watch
            Says when to stop.

        Raises
        ------
        Cancelled
            When asked to stop, or stale.
        ValueError
            If the image, the model or the machine does not suffice; one sentence.
        """
        started_s = time.monotonic()
        model = self._loaded(request.package)
        images = self._pixels(request.inputs)
        digest = digest_of(images[0])
        key, encoded = self._encoding.encode(
            images[0],
            model,
            request.sampling,
            request.recipe.compute,
            digest=digest,
            further=further_planes(request.recipe, images),
        )
        key, encoded = as_asked(request.recipe, key, encoded)
        wanted = PreviewRequest(
            encoded,
            key,
            model,
            request.surface,
            request.plane.shape,
            request.sampling,
            view,
        )
        for preview in self._previewer.iter_preview(wanted, is_stale=is_stale, watch=watch):
            seconds = time.monotonic() - started_s
            send(Shown(generation, request.surface, preview, seconds, digest))

    def _loaded(self, package: Path) -> Model:
        if self._model is None or self._model[0] != package:
            self._model = package, load_model(package)
        return self._model[1]

    def _pixels(self, planes: Sequence[InputPlane]) -> list[NDArray[Any]]:
        """Pixels of the planes; those that are loaded from a file are read once."""
        images = []
        for plane in planes:
            known = [pixels for other, pixels in self._lazy if other.reads_the_same(plane)]
            images.append(known[0] if known else plane.read())
        self._lazy = [
            (plane, pixels)
            for plane, pixels in zip(planes, images, strict=True)
            if plane.origin is not None
        ]
        return images
