# SPDX-License-Identifier: Apache-2.0
"""Measures a model with the workflow of a Clara ``config_validation.json``."""

from __future__ import annotations

from mmar_runner.interfaces.model_validator import ModelValidator


class MonaiModelValidator(ModelValidator):
    """Measures on MONAI's evaluator."""
