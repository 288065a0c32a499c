"""How the predictions of a model change when its images change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from cnnaudit.checks.behavior._perturbations import Variation
from cnnaudit.core.progress import progress

BANDS = 4


@dataclass(frozen=True, slots=True)
class Varied:
    """The answers to changed images.

    Attributes:
        predicted: the class of each changed image (n,).
        magnitudes: how much each was changed (n,).
        changed: the first changed images whose class differs, (at most `keep`, C, H, W).
    """

    predicted: torch.Tensor
    magnitudes: torch.Tensor
    changed: torch.Tensor

    def bands(self, before: torch.Tensor) -> Mapping[str, float]:
        """Share of predictions that differ from `before` (n,), for each magnitude, or for each quarter of many.

        Empty where all images were changed alike.
        """
        size, moved = self.magnitudes.abs(), (self.predicted != before).double()
        values = torch.unique(size)
        if len(values) == 1:
            return {}
        if len(values) <= BANDS:
            return {f"{float(value):g}": float(moved[size == value].mean()) for value in values}
        parts = torch.chunk(size.argsort(stable=True), BANDS)
        return {f"{float(size[p].min()):.3g} to {float(size[p].max()):.3g}": float(moved[p].mean()) for p in parts}


def vary(
    answer: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    before: torch.Tensor,
    variation: Variation,
    limit: float,
    generator: torch.Generator,
    batch_size: int = 64,
    keep: int = 3,
) -> Varied:
    """Change every image (n, C, H, W) once within the limit, a batch at a time, and ask for its class.

    Args:
        answer: gives logits (n, K).
        before: the predicted classes of the unchanged images (n,).
        keep: how many changed images to hand back.

    Example:
        >>> from cnnaudit.checks.behavior._perturbations import VARIATIONS
        >>> net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(1, 2))
        >>> images = torch.rand(5, 1, 8, 8)
        >>> before = net(images).argmax(1)
        >>> result = vary(net, images, before, VARIATIONS["rotation"], 90.0, torch.Generator().manual_seed(0))
        >>> result.magnitudes.shape
        torch.Size([5])
    """
    answers: list[torch.Tensor] = []
    sizes: list[torch.Tensor] = []
    kept: list[torch.Tensor] = []
    for start in progress(range(0, len(images), batch_size), f"images {variation.phrase.format(limit=limit)}"):
        batch = slice(start, start + batch_size)
        changed, magnitude = variation.apply(images[batch], limit, generator)
        answers.append(answer(changed).argmax(1))
        sizes.append(magnitude)
        kept += list(changed[answers[-1] != before[batch]][: keep - len(kept)])
    pictures = torch.stack(kept) if kept else images[:0]
    return Varied(torch.cat(answers), torch.cat(sizes), pictures)
