"""Two layers compared by eye: one at a time at the press of a key, both with one contrast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from napari import Viewer
from napari.layers import Image

from napari_deepz.widgets.shared.plain_text import ends_of

FLIP_KEY = "F"


_ACTIVE: WeakSet[Flip] = WeakSet()


def flipped(viewer: Any) -> list[Image]:
    """Layers that are shown one at a time now, which nobody else is to show or hide."""
    return [layer for flip in _flips_in(viewer) for layer in flip._layers.values()]


def end_flips(viewer: Any) -> None:
    """Stop flipping in a viewer, as something else is to be seen."""
    for flip in _flips_in(viewer):
        flip._on_end()


def _flips_in(viewer: Any) -> list[Flip]:
    return [
        flip
        for flip in _ACTIVE
        if flip.seen and any(layer in viewer.layers for layer in flip._layers.values())
    ]


class Flip:
    """Shows one of two layers at a time; a key changes to the other.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers and whose key.
    on_key : callable
        Called when the key is pressed.
    on_end : callable, optional
        Called when something else is to be seen: it has to `stop`, which is done where None.
    describe : callable, optional
        What is seen of a layer now, such as "+3 µm", for the text on the canvas.
    yields : bool, optional
        Whether it leaves the key to another one that claims it.
    """

    def __init__(
        self,
        viewer: Any,
        on_key: Callable[[], None],
        *,
        on_end: Callable[[], None] | None = None,
        describe: Callable[[Image], str] | None = None,
        yields: bool = False,
    ) -> None:
        self._viewer = viewer
        self._on_key, self._on_end = on_key, on_end or self.stop
        self._describe = describe
        self._yields = yields
        self._has_key = False
        self._layers: dict[str, Image] = {}
        self._visible: dict[str, bool] = {}
        self._text: tuple[str, bool] | None = None
        self._seen = ""
        _ACTIVE.add(self)

    @property
    def seen(self) -> str:
        """Role of the layer that is seen; empty while not flipping."""
        return self._seen

    def claim_key(self) -> bool:
        """Take the key unless somebody else uses it, and say whether it is taken."""
        if self._has_key:
            return True
        holder = _holder(self._viewer)
        if holder is not None and holder._yields and not self._yields:
            holder.release_key()
        if not _in_use(self._viewer):
            self._viewer.bind_key(FLIP_KEY, self._on_pressed)
            self._has_key = True
        return self._has_key

    def release_key(self) -> None:
        """Give the key back."""
        if self._has_key:
            self._viewer.bind_key(FLIP_KEY, None)
            self._has_key = False

    def _on_pressed(self, _: Any) -> None:
        self._on_key()

    def start(self, layers: dict[str, Image]) -> None:
        """Show the first of two layers, the others as they are.

        Parameters
        ----------
        layers : dict
            What each layer is called on the canvas, such as "Virtual", and the layer.
        """
        self.stop()
        self._layers = dict(layers)
        self._visible = {role: layer.visible for role, layer in layers.items()}
        overlay = _text_overlay(self._viewer)
        self._text = (overlay.text, overlay.visible)
        self._show(next(iter(layers)))

    def flip(self) -> None:
        """Show the other layer."""
        others = [role for role in self._layers if role != self._seen]
        if self._seen and others:
            self._show(others[0])

    def stop(self) -> None:
        """Show and hide the layers as they were before."""
        for role, layer in self._layers.items():
            layer.visible = self._visible[role]
        if self._text is not None:
            overlay = _text_overlay(self._viewer)
            overlay.text, overlay.visible = self._text
        self._layers, self._text, self._seen = {}, None, ""

    def _show(self, role: str) -> None:
        self._seen = role
        # The one that is seen first: the canvas is never empty.
        self._layers[role].visible = True
        for other, layer in self._layers.items():
            layer.visible = other == role
        self.tell()
        _text_overlay(self._viewer).visible = True

    def tell(self) -> None:
        """Write on the canvas what is seen, if anything is flipped."""
        if not self._seen:
            return
        layer = self._layers[self._seen]
        described = self._describe(layer) if self._describe is not None else ""
        lines = filter(None, (self._seen, described, ends_of(layer.name)))
        _text_overlay(self._viewer).text = "\n".join(lines)


def _holder(viewer: Any) -> Flip | None:
    """Whose the key is, where it is that of a `Flip`."""
    bound = next((bound for key, bound in viewer.keymap.items() if str(key) == FLIP_KEY), None)
    owner = getattr(bound, "__self__", None)
    return owner if isinstance(owner, Flip) else None


def _in_use(viewer: Any) -> bool:
    keymaps = (viewer.keymap, Viewer.class_keymap, Image.class_keymap)
    return any(str(key) == FLIP_KEY for keymap in keymaps for key in keymap)


def _text_overlay(viewer: Any) -> Any:
    return viewer.canvas.overlays.text if hasattr(viewer, "canvas") else viewer.text_overlay
