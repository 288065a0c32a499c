"""Networks with shortcuts, each with calls in place or not, of the same weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class Shortcut(nn.Module):
    """Two convolutions with a shortcut, an average and a linear layer; planes have the size of the image."""

    def __init__(self, in_place: bool, functional: bool = True, channels: int = 1) -> None:
        super().__init__()
        self.in_place, self.functional = in_place, functional
        self.a = nn.Conv2d(channels, 4, 3, padding=1)
        self.first = nn.ReLU(inplace=in_place)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.ReLU(inplace=in_place)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = (F.relu_ if self.in_place else F.relu,) * 2 if self.functional else (self.first, self.second)
        x = first(self.a(x))
        y = self.b(x)
        if self.in_place:
            y += x
        else:
            y = y + x
        return self.fc(second(y).mean((2, 3)))


def shortcut(in_place: bool, functional: bool = True, channels: int = 1, seed: int = 1) -> Shortcut:
    """The network with weights from the seed; those of both kinds are the same."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Shortcut(in_place, functional, channels).eval()


def pixels(n: int = 2, channels: int = 1, size: int = 8, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))
