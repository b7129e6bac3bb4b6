"""Neurons as a list that people put right: added, moved, merged, deleted, and taken back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Neurons:
    """Which neurons there are, and where.

    Attributes
    ----------
    ids : ndarray
        (N,) int, by which people know them; an id that was given is never given again.
    places_um : ndarray
        (N, 3) z, y and x from the centre of the first pixel; z from the plane at 0 µm.
    by_hand : ndarray
        (N,) bool, whether a person has put it there.
    next_id : int
        Of the next one.
    """

    ids: NDArray[np.int64]
    places_um: Array
    by_hand: NDArray[np.bool_]
    next_id: int

    @classmethod
    def found(cls, places_um: ArrayLike) -> Neurons:
        """Number what was found, from 1."""
        places = np.asarray(places_um, np.float64).reshape(-1, 3)
        count = len(places)
        return cls(np.arange(1, count + 1), places, np.zeros(count, bool), count + 1)

    def __len__(self) -> int:
        """Count them."""
        return len(self.ids)

    def row(self, neuron: int) -> int:
        """Where a neuron is in the arrays.

        Raises
        ------
        ValueError
            If there is none with that id; one sentence.
        """
        found = np.flatnonzero(self.ids == neuron)
        if not len(found):
            raise ValueError(f"There is no neuron {neuron}.")
        return int(found[0])

    def added(self, place_um: ArrayLike) -> Neurons:
        """Add one by hand, at z, y and x in µm."""
        return Neurons(
            np.append(self.ids, self.next_id),
            np.vstack([self.places_um, np.asarray(place_um, np.float64)]),
            np.append(self.by_hand, True),
            self.next_id + 1,
        )

    def moved(self, neuron: int, place_um: ArrayLike) -> Neurons:
        """Put one elsewhere by hand."""
        row = self.row(neuron)
        places, by_hand = self.places_um.copy(), self.by_hand.copy()
        places[row], by_hand[row] = place_um, True
        return replace(self, places_um=places, by_hand=by_hand)

    def merged(self, neurons: Collection[int]) -> Neurons:
        """Make one of several, in their middle; it keeps the lowest id.

        Raises
        ------
        ValueError
            If there are fewer than two; one sentence.
        """
        if len(neurons) < 2:
            raise ValueError("Choose two neurons or more to make one of them.")
        first, *others = sorted(neurons)
        rows = [self.row(neuron) for neuron in (first, *others)]
        return self.moved(first, self.places_um[rows].mean(axis=0)).without(others)

    def without(self, neurons: Collection[int]) -> Neurons:
        """Leave some out."""
        gone = [self.row(neuron) for neuron in neurons]
        stay = np.setdiff1d(np.arange(len(self)), gone)
        return replace(
            self, ids=self.ids[stay], places_um=self.places_um[stay], by_hand=self.by_hand[stay]
        )


class Edits:
    """The neurons as they are now, and what they were before each change.

    Parameters
    ----------
    neurons : Neurons
        To begin with.

    Attributes
    ----------
    neurons : Neurons
        As they are now.
    """

    def __init__(self, neurons: Neurons) -> None:
        self.neurons = neurons
        self._before: list[Neurons] = []
        self._undone: list[Neurons] = []

    def change(self, neurons: Neurons) -> None:
        """Go on with other ones."""
        self._before.append(self.neurons)
        self._undone.clear()
        self.neurons = neurons

    @property
    def can_undo(self) -> bool:
        """Whether a change can be taken back."""
        return bool(self._before)

    @property
    def can_redo(self) -> bool:
        """Whether a change was taken back."""
        return bool(self._undone)

    def undo(self) -> None:
        """Take the last change back, if there is one."""
        if self._before:
            self._undone.append(self.neurons)
            self.neurons = self._before.pop()

    def redo(self) -> None:
        """Make the change again that was taken back last, if there is one."""
        if self._undone:
            self._before.append(self.neurons)
            self.neurons = self._undone.pop()
