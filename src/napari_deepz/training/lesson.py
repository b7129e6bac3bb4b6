"""What a training run learns from, and how it is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

B = TypeVar("B")

Scores = dict[str, dict[str, float | None]]
"""Correlation by distance, of the refocused picture and of its baselines."""


class Lesson(ABC, Generic[B]):
    """Draws batches, says how far predictions are from them, and judges what was learned.

    Attributes
    ----------
    unit : str
        In which the distances of the scores are.
    """

    unit = "µm"

    @abstractmethod
    def draw(self, seed: int, step: int, size: int) -> B:
        """Draw the batch of one step; the same in every run with the same seed."""

    @abstractmethod
    def predict(self, network: Any, batch: B, device: torch.device) -> Tensor:
        """Refocus a batch, (N, P, Y, X)."""

    @abstractmethod
    def error(self, predicted: Tensor, batch: B) -> Tensor:
        """Say how far a prediction in float32 is from the truth, one number."""

    @abstractmethod
    def validate(self, network: Any, device: torch.device) -> Scores:
        """Judge a network on stacks that it does not learn from.

        Raises
        ------
        FloatingPointError
            If the network gives values that are not finite numbers.
        """
