"""A network of two convolutions, random or trained: what the plants of several checks of units change."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget


FIRST, SECOND = 16, 48  # filters
PLANTED = 24  # units of the second convolution that a plant changes


def network(seed: int, channels: int) -> nn.Sequential:
    """Two padded 3x3 convolutions with normal weights (He et al. 2015), pooling and a linear layer."""
    import torch
    from torch import nn

    built = nn.Sequential(
        nn.Conv2d(channels, FIRST, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(FIRST, SECOND, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Linear(SECOND * 16, 10),
    )
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in built:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                fan_in = layer.weight[0].numel()
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng) * (2 / fan_in) ** 0.5)
                layer.get_parameter("bias").zero_()
    return built.eval()


def on_digits(name: str, model: nn.Module, seed: int) -> AuditTarget:
    """The model on digits, black on white."""
    from cnnaudit.checks.small_targets import sampled
    from cnnaudit.target import AuditTarget

    images, labels, classes = sampled("digits", "validation", seed)
    return AuditTarget.from_arrays(f"planted: {name}", model, {"validation": (1 - images, labels)}, classes=classes)
