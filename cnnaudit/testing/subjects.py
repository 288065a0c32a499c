"""Small networks and images on which conformance is checked: ordinary ones, and those with a habit that is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

CLASSES = 4


class Network(nn.Module):
    """A network that every method here takes: convolutions, normalization, ReLUs, one average, one linear layer."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.drop(self.features(x).mean((2, 3))))
        return logits


class Attending(nn.Module):
    """Patches of 4 x 4 pixels that attend to each other: maps as those of `Network.features`, for any size of image."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, 8, 4, stride=4, padding=1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.patches(x)
        tokens = maps.flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        mixed: torch.Tensor = tokens.transpose(1, 2).reshape(maps.shape)
        return mixed


_ATTENDING = ContextVar("attending", default=False)


@contextmanager
def attending(wanted: bool) -> Iterator[None]:
    """Networks that `made` makes meanwhile have attention in place of convolutions, if wanted."""
    token = _ATTENDING.set(wanted)
    try:
        yield
    finally:
        _ATTENDING.reset(token)


class WritesIntoInput(Network):
    """Brings its input into the range [-2, 2] in place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.sub_(0.5).mul_(4))


class CopiesInput(Network):
    """The same, out of place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward((x - 0.5) * 4)


class WritesThroughView(Network):
    """Centers each image's maps in place, through a flat view of them: in another layout that view is a copy."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.features(x)
        flat = maps.flatten(1)
        flat -= flat.mean(1, keepdim=True)
        logits: torch.Tensor = self.head(F.relu(maps).mean((2, 3)))
        return logits


class CopiesThroughView(Network):
    """The same, out of place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.features(x)
        logits: torch.Tensor = self.head(F.relu(maps - maps.mean((1, 2, 3), keepdim=True)).mean((2, 3)))
        return logits


class Caches(Network):
    """Makes a tensor in its first pass and keeps it."""

    window: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.window is None:
            self.window = torch.hann_window(x.shape[-1], dtype=x.dtype).to(x.device) + 0.5
        return super().forward(x * self.window)


class Breaks(Network):
    """Raises in the pass of that number."""

    def __init__(self, channels: int = 3, after: int = 0) -> None:
        super().__init__(channels)
        self.passes, self.after = 0, after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = super().forward(x)
        self.passes += 1
        if self.passes > self.after:
            raise RuntimeError("the network broke")
        return logits


def made(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in evaluation mode, with weights and batch statistics drawn by that seed."""
    draw = torch.Generator().manual_seed(seed)
    if _ATTENDING.get() and isinstance(network, Network):
        first = network.features[0]
        network.add_module("features", Attending(first.in_channels if isinstance(first, nn.Conv2d) else 3))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=draw)
            elif value.is_floating_point():
                value.normal_(0, 0.5, generator=draw)
        network.get_parameter("head.weight")[1].abs_()  # something speaks for class 1
    return network.eval()


def images(count: int = 2, channels: int = 3, height: int = 20, width: int = 24, seed: int = 0) -> torch.Tensor:
    """Images (N, C, H, W) in [0, 1] with areas, edges and a little noise."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 4, 4, generator=draw)
    fine = torch.rand(count, channels, height, width, generator=draw)
    return 0.8 * F.interpolate(coarse, (height, width), mode="nearest") + 0.2 * fine
