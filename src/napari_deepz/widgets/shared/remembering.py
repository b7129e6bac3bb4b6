"""What a dock remembers from one start of napari to the next: its section of napari's settings."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

try:
    from napari.settings import get_plugin_settings
except ImportError:  # napari before 0.9 keeps no settings of plugins.
    get_plugin_settings = None

PLUGIN = "napari-deepz"


class Memory:
    """Keeps the values of form widgets in a section of the plugin's settings.

    Parameters
    ----------
    section : str
        Key of the section under `configurations` in napari.yaml.
    """

    def __init__(self, section: str) -> None:
        self._section: Any = None
        if get_plugin_settings is not None:
            with suppress(KeyError):  # The plugin runs without being installed.
                self._section = getattr(get_plugin_settings(PLUGIN), section)

    def keep(self, **widgets: Any) -> None:
        """Give widgets their remembered values now, and remember what they are changed to.

        Parameters
        ----------
        **widgets : magicgui widgets
            By their property in the section. A remembered value that a widget does not take any
            more, such as the name of a model that is gone, is passed over.
        """
        if self._section is None:
            return
        for name, widget in widgets.items():
            with suppress(ValueError):
                widget.value = getattr(self._section, name)
            widget.changed.connect(lambda value, name=name: setattr(self._section, name, value))
