"""DeepLIFT: how much each pixel's difference from a reference image adds to the difference of the score."""

from __future__ import annotations

import torch
from torch import nn

from cnnaudit.attribution.backward import slope
from cnnaudit.attribution.batches import baseline_images, in_batches, require_images, say_where_zero
from cnnaudit.attribution.multipliers import Multipliers
from cnnaudit.attribution.scores import ClassIndex, Unit, class_indices, scores
from cnnaudit.interventions.map_layout import map_reader
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.parameters import ConstantParameters


def deeplift(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    baseline: float | torch.Tensor = 0.0,
    batch_size: int = 32,
) -> torch.Tensor:
    """DeepLIFT with the rescale rule: multipliers of finite differences in place of derivatives.

    Each elementwise nonlinearity y = f(x) passes its multiplier on times (y - y') / (x - x'), where x' and y' are what
    the reference image gives there, and times f'(x) where x and x' are nearly equal. Max pooling gives a window's
    y - y' to the place of the larger of the two maxima. Linear calls pass multipliers on as gradients. The
    attribution, multiplier times (image - reference), adds up to score(image) - score(reference): completeness.

    Nonlinearities are recognized as modules, functions and methods, in place and reused. Arguments, shapes and errors
    are as in `gradient`; in units of the score; and

    Args:
        baseline: the reference image: a number for every pixel, or a tensor that broadcasts to the images.

    Raises:
        UnsupportedError: a call for which the rule is not defined, with its name: the product of two activations
            (attention, squeeze-and-excitation), softmax, normalization by the image's own statistics, a maximum over
            channels; or the model hides its calls.

    Source: Shrikumar et al., Learning important features through propagating activation differences, ICML 2017
    (arXiv 1704.02685); max pooling as in its completeness-preserving form, Lundberg and Lee, NeurIPS 2017.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 1), torch.nn.ReLU())
        >>> for parameter, value in zip(net[1].parameters(), ([[1.0, 1.0]], [-1.0])):
        ...     parameter.data[:] = torch.tensor(value)
        >>> deeplift(net, torch.tensor([[[[1.0, 1.0]]]]), 0)  # the score rises from 0 to 1; the gradient would say 1, 1
        tensor([[[[0.5000, 0.5000]]]])
    """
    require_images(images)
    references = baseline_images(images, baseline)

    def one(batch: torch.Tensor, reference: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        chosen = target if layer is not None else class_indices(model, batch, target)
        maps = None if layer is None else map_reader(model, batch, layer)
        with evaluating(model), torch.enable_grad():
            rules = Multipliers(model)
            with rules, ConstantParameters():
                with rules.reference(), torch.no_grad():
                    scores(model, reference, chosen, layer, unit, maps)
                pixels = batch.detach().clone().requires_grad_()
                score = scores(model, pixels, chosen, layer, unit, maps)
            return slope(score, pixels, torch.ones_like(score)) * (batch - reference)

    found = in_batches(one, model, images, references, class_index, batch_size=batch_size)
    return say_where_zero(found, "deeplift")
