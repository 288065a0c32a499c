"""The absolute value as a layer; the module imports torch and is imported only where the layer is used."""

from __future__ import annotations

import torch
from torch import nn


class Absolute(nn.Module):
    """|x|: a filter and its negative answer alike, so black on white is as good as white on black."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The absolute value of every input."""
        return inputs.abs()
