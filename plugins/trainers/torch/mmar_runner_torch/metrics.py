# SPDX-License-Identifier: Apache-2.0
"""What is measured on held-out data."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from sklearn.metrics import roc_auc_score


class Metric(ABC):
    """Sees a model's outputs batch by batch and answers with one number."""

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
        """Return the area, of all classes the mean of one against the rest."""
        outputs, targets = torch.cat(self._outputs).double(), torch.cat(self._targets)
        one_logit = outputs.shape == targets.shape
        classes = 2 if one_logit else outputs.shape[1]
        if len(set(targets.flatten().tolist())) != classes:
            return None
        if classes > 2:  # noqa: PLR2004
            return float(roc_auc_score(targets, outputs.softmax(dim=1), multi_class="ovr"))
        scores = outputs if one_logit else outputs[:, 1] - outputs[:, 0]
        return float(roc_auc_score(targets.flatten(), scores.flatten()))
