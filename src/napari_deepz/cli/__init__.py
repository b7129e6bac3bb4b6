"""The command line: thin callers of the engine, with progress, and errors in one sentence."""

from __future__ import annotations

import sys

from rich.console import Console

from napari_deepz.cli import evaluation, model_conversion, models, refocusing, training
from napari_deepz.cli.app import app

__all__ = ["evaluation", "main", "model_conversion", "models", "refocusing", "training"]


def main() -> None:
    """Run the command line; errors are one sentence unless --debug is given."""
    from napari_deepz.jobs import Cancelled

    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except (Cancelled, KeyboardInterrupt):
        Console(stderr=True).print("Stopped.")
        sys.exit(130)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if debug:
            raise
        Console(stderr=True, soft_wrap=True).print(f"Error: {error}", markup=False)
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        Console(stderr=True, soft_wrap=True).print(
            f"Error: something unexpected happened ({type(error).__name__}: {error}); run the "
            "command again with --debug and report what it says.",
            markup=False,
        )
        sys.exit(1)
