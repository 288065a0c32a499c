"""What several checks of `padding` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.statistics import bootstrap_interval

if TYPE_CHECKING:
    from cnnaudit.interventions import Call
    from cnnaudit.target import AuditTarget


_MIND_THE_PAD = "Alsallakh et al., Mind the Pad: CNNs can develop blind spots, ICLR 2021 (arXiv 2010.02178)"


_THESIS = "España, Sensitivity analysis of the CNN learning process using synthetic images, 2021"


_REPEAT = "Pad with the nearest pixel (padding_mode='replicate') instead of zeros, and train again."


def _observed(target: AuditTarget) -> list[Call]:
    """The calls of one forward pass; a model without convolutions is refused."""
    import torch

    from cnnaudit.interventions import calls

    blank = torch.zeros(1, target.input.channels, *target.input.size, device=target.device)
    observed = calls(target.model, blank)
    if not any(call.kind == "conv2d" for call in observed):
        raise UnsupportedError("the model calls no 2-d convolution")
    return observed


def _padded_layers(context: CheckContext) -> dict[str, str]:
    """The padded convolutions with their responses; a model without any is refused."""
    from cnnaudit.checks.padding._border import padded_layers

    context.predictions("validation")  # refuses a model that answers NaN, whose activations would say nothing
    layers = padded_layers(_observed(context.target))
    if not layers:
        raise UnsupportedError("no convolution with a map of 8 x 8 or more pads its input, so there is no border")
    return layers


def _affordable(context: CheckContext, forwards: int) -> int:
    """How many images cost as much as `forwards` images of 224 x 224 (more of smaller ones), at least 8.

    That is for the quick profile; the others have proportionally more.
    """
    height, width = context.target.input.size
    images = context.profile.images or 10_000
    return max(8, forwards * 224 * 224 * images // (500 * height * width))


def _some(context: CheckContext, available: int, most: int) -> np.ndarray:
    """Positions in the sample of at most that many images, in random order."""
    return context.generator("images").permutation(available)[:most]


def _batch(target: AuditTarget) -> int:
    """Images at once where activations are kept: the pixels of 8 images of 224 x 224."""
    height, width = target.input.size
    return min(target.batch_size, max(1, 8 * 224 * 224 // (height * width)))


def _require_life(responses: np.ndarray) -> None:
    """Refuse to speak of borders where nothing responds."""
    if not responses.any():
        raise UnsupportedError("no layer with padding responds to any image: its units are dead")


def _interval(
    context: CheckContext, n: int, statistic: Callable[[np.ndarray], float], bounds: tuple[float, float]
) -> tuple[float, float]:
    """The bootstrap over n images of a statistic of their positions."""
    if n < 2:
        raise UnsupportedError("needs at least 2 validation images")
    return bootstrap_interval(
        np.arange(n),
        statistic,
        rng=context.generator("bootstrap"),
        confidence=context.confidence,
        resamples=context.resamples,
        bounds=bounds,
    )
