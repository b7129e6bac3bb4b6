"""Processes forked from one that has computed, where PyTorch waits for threads that are gone."""

from __future__ import annotations

import os


class ForkedProcessError(OSError):
    """Work that would hang in a forked process; the message says what to do."""


_has_computed = False
_is_forked = False


def compute_here() -> None:
    """Note that this process begins to compute.

    Raises
    ------
    ForkedProcessError
        If it was forked from one that has computed before.
    """
    global _has_computed
    if _is_forked:
        raise ForkedProcessError(
            "This process was forked from one that has loaded or run a model, and PyTorch would "
            "hang in it: start worker processes with multiprocessing.get_context('spawn') or "
            "'forkserver', or before the first model is loaded."
        )
    _has_computed = True


def _note_fork() -> None:
    global _is_forked
    _is_forked = _has_computed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
