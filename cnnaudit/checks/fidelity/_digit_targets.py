"""Networks of chosen weights on digits, for the plants of several checks of `fidelity`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget


def validation_of(target: AuditTarget) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The validation images and labels of a target."""
    split = target.split("validation")
    return {"validation": (split.read(np.arange(len(split.labels))).numpy(), np.asarray(split.labels))}


def drawn(network: nn.Module, seed: int) -> nn.Module:
    """The network with weights of this seed that keep the scale of the activations."""
    import torch
    from torch import nn

    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.weight.copy_(
                    torch.randn(layer.weight.shape, generator=rng) * (2 / layer.weight[0].numel()) ** 0.5
                )
                layer.bias.zero_()  # type: ignore[union-attr]
    return network.eval()


def digits_target(name: str, network: nn.Module) -> AuditTarget:
    """The network with 200 digits."""
    from cnnaudit.data import digits
    from cnnaudit.target import AuditTarget

    data = digits("validation")
    split = {"validation": (data.images[:200], data.labels[:200])}
    return AuditTarget.from_arrays(f"planted: {name}", network, split, classes=data.classes)
