"""The modules of the ordinary networks; they import torch and are imported only where a network is built."""

from __future__ import annotations

import torch
from torch import nn


class Residual(nn.Module):
    """Two 3x3 convolutions with batch normalization, added to their input: relu(shortcut(x) + f(x)).

    Args:
        before, after: channels of the input and of the output.
        stride: of the first convolution; where the shape changes, the shortcut is a 1x1 convolution of that stride.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, after, H / stride, W / stride) for (N, before, H, W)."""
        residual = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        summed: torch.Tensor = self.relu2(self.shortcut(x) + residual)
        return summed


def separable(before: int, after: int, stride: int) -> nn.Sequential:
    """A depthwise 3x3 and a pointwise 1x1 convolution, each with batch normalization and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(before, before, 3, stride, padding=1, groups=before, bias=False),
        nn.BatchNorm2d(before),
        nn.ReLU6(),
        nn.Conv2d(before, after, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU6(),
    )
