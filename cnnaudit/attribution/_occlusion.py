"""Occlusion: how much the answer suffers when a window of the image is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnnaudit.attribution.batches import in_batches, require_images, say_where_zero
from cnnaudit.attribution.incremental_forward import answers, laid_out, plain_pass
from cnnaudit.attribution.scores import ClassIndex, Unit, finite_logits, indices, scores
from cnnaudit.attribution.windows import filled, windows
from cnnaudit.interventions.modes import evaluating

Size = int | tuple[int, int] | None


def occlusion(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    window: Size = None,
    stride: Size = None,
    fill: str | float | torch.Tensor = "gray",
    batch_size: int = 32,
    recompute: str = "touched",
) -> torch.Tensor:
    """The drop of the score when the window around a pixel is hidden, averaged over the windows that hold the pixel.

    With s the class's logit (or a unit's activation), x the image and x_w the image whose window w is filled:
    A[pixel] = mean over windows w that hold the pixel of s(x) - s(x_w). Positive: hiding it hurts the class. Windows
    stand every `stride` pixels, the last ones flush with the border, so that each pixel is covered.

    Only what a window touches is computed anew, layer by layer with the halo that convolutions need, as long as that
    is less than the whole plane; the answers are those of the plain pass (tested to 1e-5 of the logits, and two windows
    are compared in each call). Where a model's calls cannot be followed, all of each image is computed, and a
    RuntimeWarning says why.

    Args:
        images: floating point (N, C, H, W).
        class_index: as in `scores`; None: the predicted class.
        window: side of the window in pixels, or (height, width); None: a seventh of the image's side.
        stride: step between windows, at most the window; None: half the window. Cost: one forward pass for each of
            (ceil((H - h) / stride) + 1)(ceil((W - w) / stride) + 1) windows, about a third of it where followed.
        fill: `gray` (.5), `mean` (each channel's mean in that image), `blur` (the image blurred by half a window), a
            number, or a tensor that broadcasts to the images.
        recompute: `touched`, or `all` for the plain pass.

    Returns:
        (N, C, H, W), the same in every channel, in the unit of the score.

    Raises:
        AuditError: a window larger than the image, a stride that leaves pixels out, an unknown word; as `scores`.
        DataError, ModelError, UnsupportedError: as `scores`.

    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014 (arXiv 1311.2901).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> occlusion(net, torch.ones(1, 1, 4, 4), 0, window=2, stride=2, fill=0, recompute="all").shape
        torch.Size([1, 1, 4, 4])
    """
    require_images(images)
    places = windows((images.shape[2], images.shape[3]), window, stride)
    filling = filled(images, fill, places)
    options = {"batch_size": batch_size}
    with torch.no_grad(), evaluating(model):
        ready = laid_out(model, images)
        if layer is not None or unit is not None:
            own = in_batches(lambda batch: scores(model, batch, class_index, layer, unit), model, ready, **options)
            score = lambda batch, owner: scores(model, batch, None, layer, unit)[:, None]  # noqa: E731
            hidden = plain_pass(score, model, ready, filling, places, batch_size)
        else:
            logits = in_batches(lambda batch: finite_logits(model, batch), model, ready, **options)
            wanted = indices(logits, class_index)[:, None]
            own = logits.gather(1, wanted)[:, 0]
            pick = lambda logits, owner: logits.gather(1, wanted[owner])  # noqa: E731
            hidden = answers(pick, model, ready, filling, places, batch_size, recompute)
        drop = own[:, None] - hidden[..., 0]
        planes = places.spread(drop.view(len(images), *places.grid))
    return say_where_zero(planes[:, None].expand(images.shape).clone(), "occlusion")


@dataclass(frozen=True)
class OcclusionMaps:
    """What the model answers to each occluded image, as two pictures.

    Attributes:
        class_index: (N,), the class whose probability is shown.
        probability: (N, R, C), of that class with the window there hidden.
        likely: (N, R, C), the most likely class then.
        own_probability: (N,), of that class for the image itself.
        own_likely: (N,), the most likely class of the image itself.
        heat: (N, H, W), the probability, averaged over the windows that hold each pixel: low where the class is seen.
        likely_image: (N, H, W), the most likely class when the window nearest to the pixel is hidden.
        rows, columns: first row and column of the windows of the grid R x C.
        window: their height and width.
    """

    class_index: torch.Tensor
    probability: torch.Tensor
    likely: torch.Tensor
    own_probability: torch.Tensor
    own_likely: torch.Tensor
    heat: torch.Tensor
    likely_image: torch.Tensor
    rows: np.ndarray
    columns: np.ndarray
    window: tuple[int, int]


def occlusion_maps(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    window: Size = None,
    stride: Size = None,
    fill: str | float | torch.Tensor = "gray",
    batch_size: int = 32,
    recompute: str = "touched",
) -> OcclusionMaps:
    """The probability of the correct class, and the most likely class, when each window is hidden.

    Probabilities are the softmax of the logits. Arguments, cost and errors as in `occlusion`; give the labels as
    `class_index`, or None for the predicted class.

    Source: Zeiler and Fergus, ECCV 2014, figure 7 d and e; L. von Burg, Debugging deep neural networks, 2017.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> maps = occlusion_maps(net, torch.rand(1, 1, 4, 4), 0, window=2, stride=1, recompute="all")
        >>> maps.probability.shape, maps.heat.shape
        (torch.Size([1, 3, 3]), torch.Size([1, 4, 4]))
    """
    require_images(images)
    places = windows((images.shape[2], images.shape[3]), window, stride)
    filling = filled(images, fill, places)
    with torch.no_grad(), evaluating(model):
        ready = laid_out(model, images)
        logits = in_batches(lambda batch: finite_logits(model, batch), model, ready, batch_size=batch_size)
        wanted = indices(logits, class_index)[:, None]

        def seen(logits: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
            probability = logits.double().softmax(1)
            return torch.cat([probability.gather(1, wanted[owner]), probability.argmax(1, keepdim=True)], 1)

        every = torch.arange(len(images), device=images.device)
        own = seen(logits, every)
        hidden = answers(seen, model, ready, filling, places, batch_size, recompute)
    probability, likely = (hidden[..., k].reshape(len(images), *places.grid) for k in (0, 1))
    return OcclusionMaps(
        class_index=wanted[:, 0].clone(),
        probability=probability,
        likely=likely.long(),
        own_probability=own[:, 0].clone(),
        own_likely=own[:, 1].long(),
        heat=places.spread(probability),
        likely_image=places.nearest(likely.long()),
        rows=places.rows,
        columns=places.columns,
        window=places.size,
    )
