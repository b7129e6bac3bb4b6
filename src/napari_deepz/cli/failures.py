"""What went wrong, in a sentence, and the exit code that goes with it."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

import typer

from napari_deepz.atomic_files import reason_of

# Typer's own or that of click, as its version wants.
_UsageError: type[Exception] = typer.BadParameter.mro()[1]
_NO_MEMORY = (
    *("out of memory", "allocate memory", "not enough memory", "alloc_failed", "bad_alloc"),
    *("failed to map segment", "bad allocation", "can't start new thread"),
    "error return without exception set",
)


def was_stopped(error: BaseException) -> bool:
    """Whether an error says that the user ended the work."""
    from napari_deepz.watch import Cancelled

    return isinstance(error, Cancelled | KeyboardInterrupt | typer.Abort)


def sentence_of(error: BaseException) -> tuple[str, int]:
    """Say what went wrong; nothing where there is nobody any more to read it.

    Returns
    -------
    str
        One sentence, or "".
    int
        Exit code of the program.
    """
    if isinstance(error, _UsageError):
        return _misuse(error)
    if isinstance(error, BrokenPipeError):
        with suppress(OSError, ValueError):  # Or Python complains when it closes the stream.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "", 1
    if _is_out_of_memory(error):
        return (
            "Error: this machine has too little free memory for this; close other programs, or "
            "use a smaller image, stack or model.",
            1,
        )
    if isinstance(error, OSError) and error.errno is not None:  # Of the system, not a sentence.
        what = "A file" if error.filename is None else f"'{error.filename}'"
        return f"Error: {what} cannot be read or written: {reason_of(error)}.", 1
    if isinstance(error, ValueError | OSError | ModuleNotFoundError):
        return f"Error: {error}", 1
    return (
        f"Error: something unexpected happened ({type(error).__name__}: {error}); run the "
        "command again with --debug and report what it says.",
        1,
    )


def _misuse(error: Exception) -> tuple[str, int]:
    """Say what is wrong with the words of a command; nothing where its help has been shown."""
    message = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" or not message:
        return "", 2
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    return f"Error: {message.rstrip('.')}{hint}.", 2


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError | ImportError | SystemError) and any(
        s in text for s in _NO_MEMORY
    )
