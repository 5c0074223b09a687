# SPDX-License-Identifier: Apache-2.0
"""Two small networks, enough for tables and for small images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class MLP(nn.Sequential):
    """A fully connected network with ReLU between its layers.

    Args:
        in_features: Length of an input.
        out_features: Length of an output.
        hidden: Widths of the hidden layers; an empty list makes the network linear.
        dropout: Share of hidden values that are dropped while training.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (16,),
        dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(in_features, width), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            in_features = width
        super().__init__(*layers, nn.Linear(in_features, out_features))


class SmallConvNet(nn.Module):
    """Two convolutions with group normalisation, pooled to 2 x 2, and a linear layer.

    Group normalisation, since the statistics of batch normalisation suffer where sites
    hold different classes.

    Args:
        in_channels: Channels of an image.
        num_classes: Length of an output.
        width: Channels after the first convolution; twice as many after the second.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.GroupNorm(1, width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.GroupNorm(1, 2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
        )
        self.classifier = nn.Linear(8 * width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, shape ``[batch, num_classes]``."""
        features: torch.Tensor = self.features(images)
        logits: torch.Tensor = self.classifier(features.flatten(1))
        return logits
