"""All forms of the dock, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from psygnal import Signal

from napari_deepz.widgets.refocusing.image_form import ImageForm
from napari_deepz.widgets.refocusing.models.model_form import ModelForm
from napari_deepz.widgets.refocusing.resolving import DockSettings, Resolved, resolve
from napari_deepz.widgets.refocusing.surfaces.anchor_form import AnchorForm
from napari_deepz.widgets.refocusing.surfaces.anchors import Anchors, Tool
from napari_deepz.widgets.refocusing.surfaces.surface_form import ANCHORS, FLAT, LAYER, SurfaceForm
from napari_deepz.widgets.shared.compute_form import ComputeForm
from napari_deepz.widgets.shared.layers import stated_optics
from napari_deepz.widgets.shared.optics_form import OpticsForm
from napari_deepz.widgets.shared.placement import View


class AllForms:
    """Image, optics, model, surface with its anchors, and computation.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are offered.

    Attributes
    ----------
    changed : Signal
        Emitted when any setting changes.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.image, self.optics = ImageForm(viewer), OpticsForm()
        self.model, self.compute = ModelForm(), ComputeForm()
        self.anchors = AnchorForm(Anchors(viewer))
        self.surface = SurfaceForm(lambda: viewer.layers, self.anchors)
        self.image.choice.changed.connect(self.suggest_sizes)
        self.surface.kind.changed.connect(self._on_kind)
        self.model.changed.connect(self._offer_merges, priority=1)
        for form in (self.image, self.optics, self.model, self.surface, self.compute):
            form.changed.connect(self.changed.emit)

    def resolved(self, also_pinned: Mapping[int, int] | None = None) -> Resolved:
        """What all settings mean for the image, now, or for another plane of its layer."""
        settings = self.settings()
        if also_pinned:
            settings = replace(settings, pinned={**settings.pinned, **also_pinned})
        return resolve(settings, self.image.layer, View.of(self._viewer))

    def settle(self) -> Resolved:
        """Give the image the sizes that are filled in for it, and say what all settings mean then.

        Nothing is written where they do not make sense.
        """
        resolved = self.resolved()
        if resolved.request is None:
            return resolved
        self.image.sizes.write()
        return self.resolved()

    def settings(self) -> DockSettings:
        """All that the user has set."""
        kind, tool = self.surface.kind.value, self.anchors.anchors.tool
        picks = kind == ANCHORS and tool in (Tool.PICK, Tool.DRAW)
        return DockSettings(
            model=self.model.chosen,
            make_surface=self.surface.maker(),
            focus_um=self.surface.focus.value,
            shows_focus=kind == FLAT or picks,
            lacks_surface=kind == ANCHORS,
            typed_pixel_um=self.image.sizes.pixel_size.value,
            optics=self.optics.values(),
            compute=self.compute.compute(),
            pinned=self.image.pinned,
            further=self.image.further.chosen(self.image.layer),
            merge=self.image.further.chosen_merge,
            spread=self.image.further.spread.value,
        )

    def suggest_sizes(self, _: Any = None) -> None:
        """Fill in what the image says of its optics, and a likely pixel size."""
        layer, spec = self.image.layer, self.model.spec
        self.optics.suggest(layer, {} if layer is None else stated_optics(layer))
        self.image.sizes.suggest(layer, spec.pixel_size_um if spec else None)

    def _offer_merges(self) -> None:
        spec = self.model.spec
        self.image.further.offer_learned(spec is not None and spec.merges)

    def _on_kind(self, kind: str) -> None:
        """Let layers be selected for the surface, and not as the image."""
        self.image.follows_selection = kind != LAYER

    def reset_choices(self) -> None:
        """Look again which layers and models there are."""
        for form in (self.image, self.model, self.surface):
            form.reset_choices()

    def restore(self) -> None:
        """Set every setting back."""
        self.model.restore()
        self.surface.restore(self.model.spec)
        self.compute.restore()
