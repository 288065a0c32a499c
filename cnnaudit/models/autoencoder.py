"""A small autoencoder: what images of a data set have in common, as a decoder of a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from cnnaudit.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Autoencoder(nn.Module):
    """Images to a code and back, by one hidden layer on either side.

    `encoder`: flatten, dense `hidden`, ReLU, dense `code`; `decoder`: dense `hidden`, ReLU, dense, sigmoid. With P the
    pixels times channels of an image it has 2 h P + 2 h c + 2 h + c + P parameters.

    Attributes:
        lowest, highest: (code), the range of the codes of the images that it was trained on.

    Raises:
        ModelError: a shape or size below 1.

    Source: G. Hinton and R. Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006.

    Example:
        >>> sum(p.numel() for p in Autoencoder((1, 28, 28), code=32, hidden=128).parameters())
        209968
    """

    lowest: torch.Tensor
    highest: torch.Tensor

    def __init__(self, shape: Sequence[int], code: int = 32, hidden: int = 256) -> None:
        super().__init__()
        if len(shape) != 3 or min(*shape, code, hidden) < 1:
            raise ModelError(
                f"autoencoder: expected a shape (C, H, W) and sizes above 0, got {shape}, {code}, {hidden}"
            )
        self.shape = tuple(shape)
        pixels = shape[0] * shape[1] * shape[2]
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, code))
        self.decoder = nn.Sequential(
            nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, pixels), nn.Sigmoid(), nn.Unflatten(1, self.shape)
        )
        self.register_buffer("lowest", torch.full((code,), -torch.inf))
        self.register_buffer("highest", torch.full((code,), torch.inf))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The images (N, C, H, W) in [0, 1] as they come back from their codes."""
        restored: torch.Tensor = self.decoder(self.encoder(images))
        return restored
