"""LIME: superpixels hidden at random, and a weighted linear fit of what the class's probability makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnaudit.attribution.batches import cpu_size, in_batches, require_images, rows_in_batches, say_where_zero
from cnnaudit.attribution.incremental_forward import in_format_of, laid_out
from cnnaudit.attribution.scores import ClassIndex, class_indices, finite_logits, indices
from cnnaudit.core.errors import AuditError, DataError, UnsupportedError
from cnnaudit.interventions.modes import evaluating

KERNEL_WIDTH = 0.25  # as in the `lime` package


@dataclass(frozen=True)
class LimeExplanation:
    """The linear models around one image, one for each class asked for.

    Attributes:
        segments: int (H, W), the superpixel of each pixel, 0 to S - 1.
        classes: the classes explained.
        weights: float64 (classes, S): what showing a superpixel adds to the class's probability.
        intercepts: float64 (classes,), of the fit.
        fit: float64 (classes,), the weighted R squared of the fit on the samples: near 1 where the model is linear in
            the superpixels around this image, near 0 where the weights say little.
        probabilities: float64 (classes,), of the image itself.
        seed: draws the samples; the same seed gives the same explanation. The segments do not depend on it.
        samples: how many masked images were shown to the model.
    """

    segments: np.ndarray
    classes: tuple[int, ...]
    weights: np.ndarray
    intercepts: np.ndarray
    fit: np.ndarray
    probabilities: np.ndarray
    seed: int
    samples: int

    def pixels(self, class_index: int | None = None) -> np.ndarray:
        """The weight of each pixel's superpixel, float64 (H, W); of the first class unless another is named."""
        if class_index is not None and class_index not in self.classes:
            raise AuditError(f"class_index {class_index} was not explained; the classes are {self.classes}")
        row = 0 if class_index is None else self.classes.index(class_index)
        planes: np.ndarray = self.weights[row][self.segments]
        return planes


def lime(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    samples: int = 1000,
    segmentation: str = "quickshift",
    fill: float | None = None,
    seed: int = 0,
    generator: torch.Generator | None = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """The weight of each pixel's superpixel in a linear model of the class's probability around the image.

    The image is cut into superpixels; `samples` copies hide a random half of them; a ridge regression (alpha 1) of the
    class's probability on what is shown, weighted by exp(-d^2 / (2 * 0.25^2)) with d the cosine distance to the whole
    image, gives the weights. Segmentation and fit are those of the `lime` package, the masking is ours, in batches on
    the device of the images.

    Args:
        images: floating point (N, 1 or 3, H, W) in [0, 1].
        class_index: as in `scores`; None: the predicted class.
        samples: masked images, the whole one included. Cost: as many forward passes for each image.
        segmentation: `quickshift` (kernel 4, maximal distance 200, ratio 0.2, as the package does), `slic` or
            `felzenszwalb` with their own defaults.
        fill: what hidden superpixels show; None: their own mean color.
        seed: draws samples, for each image anew, so that its answer does not depend on the others.
        generator: draws the seed, in place of `seed`.

    Returns:
        (N, C, H, W), the same in every channel, in units of probability.

    Raises:
        UnsupportedError: `lime` is not installed, the images are neither gray nor in color, or the segmentation finds
            a single segment.
        DataError: images that are no gray or color images in [0, 1].
        AuditError: a class out of range, fewer than two samples, an unknown segmentation.

    Source: Ribeiro, Singh and Guestrin, "Why should I trust you?", KDD 2016 (arXiv 1602.04938).

    Example:
        >>> import torch
        >>> images = torch.zeros(1, 1, 16, 16)
        >>> images[..., 8:] = 1  # the left half is black already: hiding it changes nothing
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 2))
        >>> found = lime(net, images, 0, samples=50, segmentation="felzenszwalb", fill=0.0)
        >>> bool(found[0, 0, 0, 15].abs() > found[0, 0, 0, 0].abs())
        True
    """
    _require_pixels(images)
    wanted = in_batches(lambda b, c: class_indices(model, b, c), model, images, class_index, batch_size=batch_size)
    if generator is not None:
        seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    options: dict[str, Any] = {"samples": samples, "segmentation": segmentation, "fill": fill, "seed": seed}
    planes = [
        lime_explanation(model, image, int(c), **options, batch_size=batch_size).pixels()
        for image, c in zip(images, wanted)
    ]
    weights = torch.stack([torch.as_tensor(plane) for plane in planes]).to(images)
    return say_where_zero(weights[:, None].expand(images.shape).clone(), "lime")


def lime_explanation(
    model: nn.Module,
    image: torch.Tensor,
    classes: int | Sequence[int] | np.ndarray | torch.Tensor | None = None,
    *,
    samples: int = 1000,
    segmentation: str = "quickshift",
    fill: float | None = None,
    seed: int = 0,
    batch_size: int = 32,
) -> LimeExplanation:
    """The linear models around one image (C, H, W) or (1, C, H, W), for one class or several from the same samples.

    Two classes on one image show what speaks for one and against the other. None: the predicted class. Formula,
    arguments and errors as in `lime`.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 16, 16)
        >>> image[:, :, 8:] = 1
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 2))
        >>> found = lime_explanation(net, image, (0, 1), samples=50, segmentation="felzenszwalb")
        >>> found.weights.shape, bool(abs(found.weights.sum(0)).max() < 1e-6)  # two probabilities: opposite weights
        ((2, 2), True)
    """
    image = image[None] if image.ndim == 3 else image
    _require_pixels(image)
    if len(image) != 1:
        raise DataError(f"lime_explanation: expected one image (C, H, W), got {tuple(image.shape)}")
    if samples < 2:
        raise AuditError(f"lime: expected samples >= 2, got {samples}")
    segments = _segments(image[0], segmentation)
    shown = np.random.RandomState(seed).randint(0, 2, (samples, int(segments.max()) + 1))
    shown[0] = 1
    masked = _Masked(image, segments, shown, fill)
    with torch.no_grad(), evaluating(model):
        logits = in_batches(lambda batch: finite_logits(model, batch), model, image)
        asked = logits.argmax(1) if classes is None else _numbers(classes)
        chosen = tuple(indices(logits.expand(len(asked), -1), asked).tolist())
        ready = laid_out(model, image)

        def probabilities(rows: torch.Tensor) -> torch.Tensor:
            return finite_logits(model, masked(rows, ready)).double().softmax(1)[:, list(chosen)]

        rows = torch.arange(samples)
        found = rows_in_batches(probabilities, model, rows, batch_size=cpu_size(image, batch_size)).cpu().numpy()
    fits = [_fit(shown, found, column) for column in range(len(chosen))]
    return LimeExplanation(
        segments=segments,
        classes=chosen,
        weights=np.stack([weights for weights, _, _ in fits]),
        intercepts=np.array([intercept for _, intercept, _ in fits]),
        fit=np.array([score for _, _, score in fits]),
        probabilities=found[0].copy(),
        seed=seed,
        samples=samples,
    )


def _numbers(classes: Any) -> torch.Tensor:
    """One class or several, in any form, (q,)."""
    try:
        numbers = torch.as_tensor(classes).flatten()
    except (TypeError, ValueError, RuntimeError):
        raise AuditError(f"lime: expected an integer or several as classes, got {classes!r}") from None
    if not len(numbers):
        raise AuditError("lime: name at least one class, or None for the predicted one")
    return numbers


def _fit(shown: np.ndarray, probabilities: np.ndarray, column: int) -> tuple[np.ndarray, float, float]:
    """Weight of each superpixel, intercept and R squared of the package's weighted ridge fit."""
    from lime.lime_base import LimeBase
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(shown, shown[:1], metric="cosine").ravel()
    base = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / KERNEL_WIDTH**2)), random_state=0)
    intercept, terms, score, _ = base.explain_instance_with_data(
        shown, probabilities, distances, column, shown.shape[1], feature_selection="none"
    )
    weights = np.zeros(shown.shape[1])
    for segment, weight in terms:
        weights[segment] = weight
    return weights, float(intercept), float(score)


class _Masked:
    """The image with the superpixels hidden that a row of `shown` says, on the image's device."""

    def __init__(self, image: torch.Tensor, segments: np.ndarray, shown: np.ndarray, fill: float | None) -> None:
        device = image.device
        self._segments = torch.as_tensor(segments, device=device)
        self._shown = torch.as_tensor(shown, device=device, dtype=torch.bool)
        if fill is None:
            flat, place = image[0].flatten(1), self._segments.flatten()
            sums = flat.new_zeros(flat.shape[0], self._shown.shape[1]).index_add_(1, place, flat)
            self._hidden = (sums / torch.bincount(place))[:, place].view_as(image)
        else:
            self._hidden = torch.full_like(image, fill)

    def __call__(self, rows: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """The masked images (B, C, H, W) of those rows, in the memory format of the image."""
        keep = self._shown[rows.to(image.device)][:, self._segments][:, None]
        return in_format_of(image, torch.where(keep, image, self._hidden))


def _segments(image: torch.Tensor, name: str) -> np.ndarray:
    """The superpixel of each pixel, int64 (H, W) from 0 on; gray images are segmented as gray colors."""
    options: dict[str, dict[str, Any]] = {
        "quickshift": {"kernel_size": 4, "max_dist": 200, "ratio": 0.2},
        "slic": {},
        "felzenszwalb": {},
    }
    if name not in options:
        raise AuditError(f"lime: segmentation is one of {', '.join(options)}, got {name!r}")
    try:
        from lime.wrappers.scikit_image import SegmentationAlgorithm
    except ImportError as error:
        raise UnsupportedError(
            'LIME needs the package lime, which is not installed: pip install "cnnaudit[lime]"'
        ) from error
    pixels = image.detach().expand(3, *image.shape[1:]).permute(1, 2, 0).cpu().double().numpy()
    found = SegmentationAlgorithm(name, **options[name])(np.ascontiguousarray(pixels))
    _, segments = np.unique(found, return_inverse=True)
    segments = segments.reshape(found.shape).astype(np.int64)
    if segments.max() == 0:
        raise UnsupportedError(
            f"lime: {name} finds a single segment in this image of {image.shape[1]} x {image.shape[2]} pixels, so "
            "there is nothing to hide; use another segmentation (slic divides any image) or occlusion"
        )
    return segments


def _require_pixels(images: torch.Tensor) -> None:
    """Raise an error unless the images are gray or in color, with pixels in [0, 1]."""
    require_images(images)
    if images.shape[1] not in (1, 3):
        raise UnsupportedError(
            f"LIME cuts gray or color images (N, 1 or 3, H, W) into segments, got {tuple(images.shape)}; use occlusion"
        )
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise DataError(f"lime: expected pixels in [0, 1], got {low:.3g} to {high:.3g}; let the model normalize them")
