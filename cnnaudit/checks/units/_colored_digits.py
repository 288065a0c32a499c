"""Networks on colored digits whose first kernels see brightness, opponent colors, or anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget

Sight = Literal["luma", "opponent", "random"]


def seeing(seed: int, sight: Sight = "random") -> AuditTarget:
    """A network of random weights on colored digits, whose first kernels see brightness, opponent colors, or anything.

    `luma`: the three channels share one kernel, in the proportions of the luma (.299, .587, .114). `opponent`: they
    cancel out in gray. Two convolutions, ReLU, pooling.
    """
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget
    from cnnaudit.units.hue import LUMA

    rng = torch.Generator().manual_seed(seed)
    first, second = nn.Conv2d(3, 16, 5, bias=False), nn.Conv2d(16, 16, 3, bias=False)
    layers = first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten()
    network = nn.Sequential(*layers, nn.Linear(64, 10))
    with torch.no_grad():
        for layer in (first, second):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng) / layer.weight[0].numel() ** 0.5)
        if sight == "luma":
            first.weight.copy_(torch.tensor(LUMA).view(1, 3, 1, 1) * first.weight[:, :1] * 3)
        if sight == "opponent":
            first.weight.sub_(first.weight.mean(1, keepdim=True))
    images, labels = _colored_digits(seed)
    name = f"planted: {sight} kernels"
    return AuditTarget.from_arrays(name, network, {"validation": (images, labels)}, tuple("0123456789"))


def _colored_digits(seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Digits in an ink and on a ground of random colors."""
    import torch

    from cnnaudit.data import digits

    data, rng = digits("validation", seed), np.random.default_rng(seed)
    ink, ground = rng.random((2, len(data.labels), 3, 1, 1))
    images = data.images * ink + (1 - data.images) * ground
    return torch.from_numpy(images.astype(np.float32)), data.labels
