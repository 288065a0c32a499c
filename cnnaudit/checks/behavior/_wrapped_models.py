"""Models that change their images or their answers: what planted mistakes of `behavior` are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

Change = Callable[["torch.Tensor"], "torch.Tensor"]


def wrapped(model: nn.Module, image: Change | None = None, answer: Change | None = None) -> nn.Module:
    """The model asked about changed images, its answers changed."""
    from torch import nn

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(image(images) if image else images)
            return answer(logits) if answer else logits

    return Wrapped()
