"""Small networks of every style, each built with zero padding or with the same padding in another mode."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class Modules(nn.Module):
    """Modules only: strided, grouped, dilated depthwise and pointwise convolutions, both poolings."""

    def __init__(self, mode: str = "zeros") -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False, padding_mode=mode), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.grouped = nn.Conv2d(4, 8, (3, 5), stride=(1, 2), padding=(1, 2), groups=2, padding_mode=mode)
        self.depthwise = nn.Conv2d(8, 8, 3, padding="same", dilation=2, groups=8, padding_mode=mode)
        self.six = nn.ReLU6()
        self.point = nn.Conv2d(8, 4, 1)
        self.average = nn.AvgPool2d(2, padding=1, ceil_mode=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.grouped(self.pool(self.stem(x)))
        x = self.average(self.point(self.six(self.depthwise(x))))
        return self.head(x.mean((2, 3)))


class Functional(nn.Module):
    """No modules inside: an own argument, an asymmetric pad, a pad joined with an argument, even 'same' kernels."""

    def __init__(self, mode: str = "zeros") -> None:
        super().__init__()
        self.mode = mode
        self.a = nn.Parameter(torch.randn(4, 3, 3, 3) / 3)
        self.b = nn.Parameter(torch.randn(4, 4, 4, 4) / 5)
        self.c = nn.Parameter(torch.randn(4, 4, 3, 3) / 5)

    def around(self, x: torch.Tensor, *sides: int) -> torch.Tensor:
        return F.pad(x, sides, mode="constant" if self.mode == "zeros" else self.mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        zeros = self.mode == "zeros"
        x = F.conv2d(x, self.a, None, 1, 1) if zeros else F.conv2d(self.around(x, 1, 1, 1, 1), self.a)
        x = F.relu(x)
        x = F.conv2d(self.around(x, 0, 1, 0, 1), self.c, stride=2)
        x = torch.relu(x)
        x = torch.conv2d(x, self.b, padding="same") if zeros else F.conv2d(self.around(x, 1, 2, 1, 2), self.b)
        x = x.relu()
        joined = F.pad(x, (1, 0, 0, 0)) if zeros else self.around(x, 2, 1, 1, 1)
        x = F.conv2d(joined, self.c, padding=1 if zeros else 0, dilation=1)
        return F.adaptive_avg_pool2d(F.max_pool2d(x.clamp(min=0), 2), 1).flatten(1)


class InPlace(nn.Module):
    """In-place calls of every kind, a reused module, a residual `+=`, and a result that is read from the input."""

    def __init__(self, mode: str = "zeros") -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode)
        self.second = nn.Conv2d(4, 4, 3, padding=1, padding_mode=mode)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        F.relu(x, True)  # the result is dropped: x itself must have changed
        y = self.second(x)
        y += x
        y = self.second(self.act(y))
        self.act(y)
        y = self.second(y).mul_(2)
        y.relu_()
        return self.head(F.relu(y - 0.1, inplace=True).mean((2, 3)))


class Block(nn.Module):
    """A functional block with two relu calls of its own."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, padding_mode=mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.conv(x))
        return F.relu(self.conv(y) + x)


class Reused(nn.Module):
    """One block called twice, after a pad module and a convolution without padding of its own."""

    def __init__(self, mode: str = "zeros") -> None:
        super().__init__()
        pads = {"zeros": nn.ZeroPad2d, "replicate": nn.ReplicationPad2d, "reflect": nn.ReflectionPad2d}
        self.pad = pads.get(mode, nn.CircularPad2d)((1, 2, 0, 1))
        self.conv = nn.Conv2d(3, 4, 3)
        self.block = Block(mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(self.pad(x))
        return self.block(self.block(x)).mean((2, 3))


STYLES: tuple[type[nn.Module], ...] = (Modules, Functional, InPlace, Reused)
MODES = ("zeros", "replicate", "reflect", "circular")


def build(style: Callable[[str], nn.Module], mode: str = "zeros", seed: int = 0) -> nn.Module:
    """The network with weights from the seed, in evaluation mode, with batch statistics that are not trivial."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = style(mode).eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return network


def images(n: int = 2, size: int = 13, seed: int = 1) -> torch.Tensor:
    """Pixels in [0, 1], (n, 3, size, size)."""
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def eager(network: nn.Module) -> nn.Module:
    return network


def traced(network: nn.Module) -> nn.Module:
    return torch.fx.symbolic_trace(network)


def exported(network: nn.Module) -> nn.Module:
    return torch.export.export(network, (images(),)).module()


def decomposed(network: nn.Module) -> nn.Module:
    return torch.export.export(network, (images(),)).run_decompositions().module()


FORMS = (eager, traced, exported, decomposed)
