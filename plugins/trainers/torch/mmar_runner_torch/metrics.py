# SPDX-License-Identifier: Apache-2.0
"""What is measured on held-out data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch


class Metric(ABC):
    """Sees a model's outputs batch by batch and answers with one number.

    Attributes:
        needs: What has to be there for it to be defined, for whoever misses the number.
    """

    needs: ClassVar[str] = "other held-out data"

    @abstractmethod
    def reset(self) -> None:
        """Forget what was seen."""

    @abstractmethod
    def update(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        """See one batch, on the CPU.

        Args:
            outputs: Logits, ``[batch]`` or ``[batch, classes, ...]``.
            targets: Labels, ``[batch]`` or ``[batch, ...]``.
        """

    @abstractmethod
    def compute(self) -> float | None:
        """Return the number, or None if it is not defined for what was seen."""


class Accuracy(Metric):
    """The share of right answers.

    Args:
        threshold: Above it a single logit means 1.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        self._threshold = threshold
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._right = self._seen = 0

    def update(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Count the right answers of a batch."""
        if outputs.shape == targets.shape:
            answers = outputs > self._threshold
        else:
            answers = outputs.argmax(dim=1)
        self._right += int((answers == targets.to(answers.dtype)).sum())
        self._seen += targets.numel()

    def compute(self) -> float | None:
        """Return right over seen."""
        return self._right / self._seen if self._seen else None


class AUC(Metric):
    """The area under the receiver operating characteristic, as scikit-learn defines it.

    Not defined where only one class was seen, or not all of several.
    """

    needs = "held-out cases of every class that the model tells apart"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._outputs: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def update(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Remember a batch."""
        self._outputs.append(outputs)
        self._targets.append(targets)

    def compute(self) -> float | None:
        """Return the area, of all classes the mean of one against the rest.

        Raises:
            ValueError: The model's outputs are not finite.
        """
        outputs, targets = torch.cat(self._outputs).double(), torch.cat(self._targets)
        one_logit = outputs.shape == targets.shape
        classes = 2 if one_logit else outputs.shape[1]
        labels = torch.unique(targets)
        if len(labels) != classes:
            return None
        if not outputs.isfinite().all():
            raise ValueError("the model's outputs are not all finite: no AUC can be told")
        if classes > 2:  # noqa: PLR2004
            scores = outputs.softmax(dim=1).movedim(1, 0)
            areas = [_area(targets == label, scores[k]) for k, label in enumerate(labels)]
            return sum(areas) / classes
        scores = outputs if one_logit else outputs[:, 1] - outputs[:, 0]
        return _area(targets == labels[1], scores)


def _area(positive: torch.Tensor, scores: torch.Tensor) -> float:
    """Return the share of pairs of a positive and a negative case that are in order.

    A pair of equal scores counts half. By hand: importing scikit-learn for it takes as long as
    importing torch.

    Args:
        positive: Which cases are; there is at least one, and one that is not.
        scores: The higher, the more positive; of the same shape, finite.
    """
    positive, scores = positive.flatten(), scores.flatten()
    _, which, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    # Ranks from 1; equal scores share the mean of theirs.
    ranks = counts.cumsum(0).double() - (counts.double() - 1) / 2
    hits = int(positive.sum())
    below = float(ranks[which][positive].sum()) - hits * (hits + 1) / 2
    return below / (hits * (len(positive) - hits))
