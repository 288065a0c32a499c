"""The images whose maps are judged, with the classes that are explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.attribution.methods import Method, saliency
from cnnaudit.checks.fidelity._attribution_maps import GRID, cells, quiet
from cnnaudit.core.statistics import derive_seed

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

DETAIL = 0.2  # of the class's probability must owe itself to more than the image's blur


@dataclass(frozen=True, eq=False)
class Subject:
    """Images in the order in which they are used; a costly method is judged on the first ones only.

    Attributes:
        images: (N, C, H, W) on the model's device.
        classes: int64 (N,), the predicted ones: what is explained.
        before, emptied: (N,), the class's probability for the image and for its blur.
    """

    target: AuditTarget
    images: torch.Tensor
    classes: torch.Tensor
    before: np.ndarray
    emptied: np.ndarray
    seed: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells that maps are pooled to."""
        height, width = self.images.shape[-2:]
        return min(GRID, height), min(GRID, width)

    @property
    def detailed(self) -> np.ndarray:
        """Images whose class owes `DETAIL` of its probability to more than the blur: bool (N,)."""
        result: np.ndarray = self.before - self.emptied >= DETAIL
        return result

    def probability(self, rows: np.ndarray) -> Callable[[torch.Tensor], np.ndarray]:
        """What answers the probability (n,) of those rows' explained class to changed images of theirs."""
        classes = self.classes[torch.from_numpy(rows)].cpu()
        return lambda images: _probability(self.target, images, classes)

    def attributions(
        self, method: Method, rows: slice, *, model: nn.Module | None = None, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What a method answers to those rows, for the target's model or another one: (n, C, H, W) or (n, H, W).

        Raises:
            UnsupportedError: from the method.
        """
        images = self.images[rows] if noise is None else (self.images[rows] + noise[rows]).clamp(0, 1)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.target.name, "fidelity", method.name))
        return quiet(method.name, model or self.target.model, images, self.classes[rows], generator)

    def strength(
        self, method: Method, rows: slice, *, model: nn.Module | None = None, noise: torch.Tensor | None = None
    ) -> np.ndarray:
        """How much each cell counts, in whichever direction: (n, cells)."""
        return cells(saliency(self.attributions(method, rows, model=model, noise=noise)))


def subject_of(
    target: AuditTarget, images: torch.Tensor, logits: torch.Tensor, n: int, rng: np.random.Generator, seed: int
) -> Subject:
    """At most `n` of the images (M, C, H, W), in random order, those with `detailed` predictions first.

    Twice as many are asked for their blur, so that detailed ones can be chosen.

    Args:
        logits: (M, K), of the images.
    """
    order = torch.from_numpy(rng.permutation(len(images))[: 2 * n])
    some, answers = images[order], logits[order].softmax(1)
    before, classes = (part.cpu() for part in answers.max(1))
    emptied = _probability(target, blurred(some), classes)
    first = np.argsort(before.numpy() - emptied < DETAIL, kind="stable")[:n]
    chosen = torch.from_numpy(first)
    return Subject(
        target,
        some[chosen].to(target.device),
        classes[chosen].to(target.device),
        before.numpy()[first].astype(float),
        emptied[first],
        seed,
    )


def blurred(images: torch.Tensor) -> torch.Tensor:
    """The images (N, C, H, W) without their detail: a Gaussian blur of an eighth of the shorter side, edges repeated.

    What is deleted is replaced by it: it keeps the local brightness and color, so that the network is shown neither a
    black hole nor a constant that it never saw.
    """
    sigma = min(images.shape[-2:]) / 8
    radius = int(2 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    across = kernel.expand(channels, 1, 1, -1)
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, across, groups=channels), across.mT.reshape(channels, 1, -1, 1), groups=channels)


def _probability(target: AuditTarget, images: torch.Tensor, classes: torch.Tensor) -> np.ndarray:
    logits = target.logits(images.to("cpu"))
    result: np.ndarray = logits.softmax(1).gather(1, classes[:, None])[:, 0].double().numpy()
    return result
