"""One pixel that changes the predicted class: a search with a fixed budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from cnnaudit.core.progress import progress

GUIDED_SHARE = 0.75  # of the tries go where the gradient points, the others anywhere
GRADIENT_PIXELS = 8 * 224 * 224  # in one backward pass: about 1 GiB on a ResNet-50
Answer = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Flip:
    """An image whose class one pixel changes: the image's position, the pixel, the classes and the changed image."""

    image: int
    pixel: tuple[int, int]
    before: int
    after: int
    changed: torch.Tensor


@dataclass(frozen=True, slots=True)
class PixelSearch:
    """What was found, how many pixels each image was given, and whether the gradient chose most of them."""

    flips: tuple[Flip, ...]
    tries: int
    guided: bool


def search(
    answer: Answer,
    model: torch.nn.Module,
    images: torch.Tensor,
    before: torch.Tensor,
    tries: int,
    generator: torch.Generator,
    device: str = "cpu",
) -> PixelSearch:
    """Try single pixels of each image until its predicted class changes or the budget is spent.

    Three quarters of the pixels are those that most lower m = (highest logit - second highest) to first order, each
    channel set to whichever of 0 and 1 lowers it: the pixels of largest sum over c of max(g_c x_c, -g_c (1 - x_c)),
    with g the gradient of m. The others are drawn at random and set to black or white, whichever is farther: they see
    what the gradient of a maximum cannot. Where the model gives no gradient, all are drawn at random.

    What is found is a lower bound of what an exhaustive search would find: of the images that some black or white
    pixel flips, 64 tries find about 0.95 on small networks.

    Args:
        answer: gives the logits of images, in batches of its own.
        model: what `answer` evaluates, for its gradient.
        images: (n, C, H, W) in [0, 1].
        before: their predicted classes (n,).
        tries: pixels per image.

    Source: Su, Vargas and Sakurai, One pixel attack for fooling deep neural networks, 2019 (the question; they search
    by differential evolution with up to 40,000 tries per image).

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> images, random = torch.rand(3, 1, 4, 4), torch.Generator().manual_seed(0)
        >>> found = search(net, net, images, net(images).argmax(1), tries=16, generator=random)
        >>> found.tries, found.guided
        (16, True)
    """
    n, _, h, w = images.shape
    tries = min(tries, h * w)
    gradient = margin_gradient(model, images, device)
    flips = []
    for i in progress(range(n), "one pixel changed"):
        where, colors = _candidates(images[i], None if gradient is None else gradient[i], tries, generator)
        changed = images[i].repeat(len(where), 1, 1, 1)
        changed.flatten(2)[torch.arange(len(where)), :, where] = colors
        with torch.no_grad():
            after = answer(changed).argmax(1)
        hits = (after != before[i]).nonzero().flatten().tolist()
        if hits:
            row, column = divmod(int(where[hits[0]]), w)
            flips.append(Flip(i, (row, column), int(before[i]), int(after[hits[0]]), changed[hits[0]].clone()))
    return PixelSearch(tuple(flips), tries, gradient is not None)


def margin_gradient(model: torch.nn.Module, images: torch.Tensor, device: str = "cpu") -> torch.Tensor | None:
    """Gradient of (highest logit - second highest) by pixel, (n, C, H, W) on the CPU; None where there is none.

    ONNX models, models that compute without gradients and operations without a derivative have none.
    """
    parts = []
    batch_size = min(64, max(1, GRADIENT_PIXELS // (images.shape[2] * images.shape[3])))
    for batch in torch.split(images, batch_size):
        pixels = batch.to(device).requires_grad_()
        try:
            with torch.enable_grad():
                best = model(pixels * 1).topk(2, 1).values  # a copy: a model may change its input in place
                (gradient,) = torch.autograd.grad((best[:, 0] - best[:, 1]).sum(), pixels)
        except Exception:  # a model that answers may still fail to be differentiated, in its own way
            return None
        parts.append(gradient.cpu())
    gradient = torch.cat(parts)
    return gradient if bool(torch.isfinite(gradient).all()) else None


def _candidates(
    image: torch.Tensor, gradient: torch.Tensor | None, tries: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels to try, best first, as positions (tries,) in the flattened image, and their colors (tries, C)."""
    flat = image.flatten(1)
    opposite = (flat.mean(0, keepdim=True) < 0.5).to(flat).expand_as(flat)
    shuffled = torch.randperm(flat.shape[1], generator=generator)
    if gradient is None:
        where = shuffled[:tries]
        return where, opposite[:, where].T
    slope = gradient.flatten(1)
    to_black, to_white = -slope * flat, slope * (1 - flat)
    lowest = torch.where(to_white < to_black, 1.0, 0.0)
    guided = torch.minimum(to_black, to_white).sum(0).argsort(stable=True)[: round(GUIDED_SHARE * tries)]
    others = shuffled[~torch.isin(shuffled, guided)][: tries - len(guided)]
    return torch.cat((guided, others)), torch.cat((lowest[:, guided].T, opposite[:, others].T))
