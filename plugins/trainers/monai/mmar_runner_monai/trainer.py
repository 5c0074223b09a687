# SPDX-License-Identifier: Apache-2.0
"""Trains the workflow that a Clara ``config_train.json`` declares."""

from __future__ import annotations

from mmar_runner_torch.loop import TorchLoopTrainer


class MonaiTrainer(TorchLoopTrainer):
    """Trains on MONAI's engines."""
