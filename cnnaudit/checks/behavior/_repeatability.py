"""Does a model answer the same image the same way, whatever else it is asked?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

ALONE = 16  # images asked one at a time


@dataclass(frozen=True, slots=True)
class Repetition:
    """One more asking of the same images.

    Attributes:
        how: in which way they were asked again.
        difference: per image, how far its logits moved, relative to the spread of all logits.
        changed: per image, whether its predicted class changed.
    """

    how: str
    difference: torch.Tensor
    changed: torch.Tensor


def repetitions(answer: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, seed: int) -> list[Repetition]:
    """Ask for the same images again: once more alike, in other batches and order, and one at a time.

    The difference of an image is max_k |z'_k - z_k| / s, where z are its logits less their mean over the classes (a
    constant added to all logits changes no prediction) and s is the root mean square of z over all images. It is about
    1e-6 for the same sums in another order in float32, 1e-2 in bfloat16, and above it where the answer depends on
    chance or on the other images of a batch.

    A model that draws from torch's global random state is given one seeded by `seed`; the state is put back.

    Args:
        answer: gives the logits (n, K) of images (n, C, H, W), a batch at a time.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(16, 2))
        >>> again = repetitions(net, torch.rand(8, 1, 4, 4), seed=0)[0]
        >>> again.how, bool(again.difference.max() > 0.1)
        ('the same batch again', True)
    """
    n = len(images)
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        first = answer(images)
        again = answer(images)
        mixed = torch.cat([answer(images[part]) for part in torch.split(shuffled, max(1, n // 4))])[shuffled.argsort()]
        alone = torch.cat([answer(image[None]) for image in images[:ALONE]])
    return [
        _compared("the same batch again", again, first),
        _compared("other batches, other order", mixed, first),
        _compared("one image at a time", alone, first),
    ]


def _compared(how: str, second: torch.Tensor, first: torch.Tensor) -> Repetition:
    """How the second answers differ from the first ones (of which there may be more)."""
    before, after = (logits.double() - logits.double().mean(1, keepdim=True) for logits in (first, second))
    spread = before.square().mean().sqrt().clamp(min=1e-30)  # a model may answer the same to everything
    difference = (after - before[: len(after)]).abs().amax(1) / spread
    return Repetition(how, difference, second.argmax(1) != first[: len(second)].argmax(1))
