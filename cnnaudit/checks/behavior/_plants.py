"""Targets that the plants of several checks of `behavior` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnaudit.checks import real

if TYPE_CHECKING:
    import torch
    from torch import nn


def _after(change: Callable[[torch.Tensor], torch.Tensor], model: nn.Module) -> nn.Module:
    """The model asked about changed images."""
    from torch import nn

    class After(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.model(change(images))
            return answer

    return After()


_REAL = ("mnist", "cifar10") if real.available() else ()
