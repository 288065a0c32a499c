"""Small random networks of one function in several styles, and slow definitions of what is computed on them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

STYLES = ("modules", "functional", "in_place", "reused")


class Small(nn.Module):
    """conv (stride 2), ReLU, max pooling, conv, ReLU, linear: one function, its ReLUs written in one style."""

    def __init__(self, style: str = "modules", channels: int = 3, size: int = 17) -> None:
        super().__init__()
        self.style = style
        self.conv1 = nn.Conv2d(channels, 5, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(5, 4, 3, padding=1)
        self.fc = nn.Linear(4 * (((size + 1) // 2) // 2) ** 2, 3)
        if style == "modules":
            self.relu1, self.relu2, self.pool = nn.ReLU(), nn.ReLU(), nn.MaxPool2d(2)
        if style == "reused":
            self.act = nn.ReLU(inplace=True)

    def rectify(self, x: torch.Tensor, number: int) -> torch.Tensor:
        if self.style == "modules":
            return (self.relu1, self.relu2)[number - 1](x)
        if self.style == "reused":
            return self.act(x)
        if self.style == "in_place":
            x.relu_()
            return x
        return F.relu(x)

    def layer(self, number: int) -> str:
        """The name of that ReLU."""
        return {"modules": f"relu{number}", "reused": f"act:{number}"}.get(self.style, f"/relu:{number}")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.rectify(self.conv1(x), 1)
        x = self.pool(x) if self.style == "modules" else F.max_pool2d(x, 2)
        return self.fc(self.rectify(self.conv2(x), 2).flatten(1))


def small(style: str = "modules", channels: int = 3, size: int = 17, seed: int = 4) -> Small:
    """The network in double precision; the weights depend on the seed and not on the style."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Small(style, channels, size).double().eval()


def pixels(n: int = 2, channels: int = 3, size: int = 17, seed: int = 1) -> torch.Tensor:
    """Pixels in [0, 1], double precision, (n, channels, size, size)."""
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_projection(net: Small, x: torch.Tensor, signal: torch.Tensor, depth: int, guided: bool) -> torch.Tensor:
    """The signal at the output of that ReLU, sent down by rectification, transposed convolution and unpooling."""
    before1 = F.conv2d(x, net.conv1.weight, net.conv1.bias, 2, 1)
    pooled, switches = F.max_pool2d(before1.clamp(min=0), 2, return_indices=True)
    before2 = F.conv2d(pooled, net.conv2.weight, net.conv2.bias, 1, 1)
    if depth == 2:
        signal = signal.clamp(min=0) * ((before2 > 0) if guided else 1)
        signal = F.conv_transpose2d(signal, net.conv2.weight, padding=1)
        signal = F.max_unpool2d(signal, switches, 2, output_size=before1.shape[-2:])
    signal = signal.clamp(min=0) * ((before1 > 0) if guided else 1)
    extra = x.shape[-1] - ((before1.shape[-1] - 1) * 2 + 1)
    return F.conv_transpose2d(signal, net.conv1.weight, stride=2, padding=1, output_padding=extra)


def feature_map(net: Small, x: torch.Tensor, depth: int) -> torch.Tensor:
    """The output of that ReLU."""
    first = F.conv2d(x, net.conv1.weight, net.conv1.bias, 2, 1).clamp(min=0)
    if depth == 1:
        return first
    return F.conv2d(F.max_pool2d(first, 2), net.conv2.weight, net.conv2.bias, 1, 1).clamp(min=0)


def only(maps: torch.Tensor, unit: int | Sequence[int]) -> torch.Tensor:
    """The maps with all but that unit set to zero."""
    kept = torch.zeros_like(maps)
    where = (slice(None), *((unit,) if isinstance(unit, int) else unit))
    kept[where] = maps[where]
    return kept
