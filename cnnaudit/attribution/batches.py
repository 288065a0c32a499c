"""Images of an attribution: refused where they are no images, batched, and said where nothing came of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cnnaudit.attribution.scores import one_each
from cnnaudit.core.errors import AuditError, DataError, ModelError
from cnnaudit.core.memory import out_of_memory
from cnnaudit.interventions import batches
from cnnaudit.interventions.images import cpu_size, require_images

__all__ = ["baseline_images", "cpu_size", "in_batches", "require_images", "rows_in_batches", "say_where_zero"]


def in_batches(
    function: Callable[..., torch.Tensor],
    model: nn.Module,
    images: torch.Tensor,
    *per_image: Any,
    batch_size: int = 32,
) -> torch.Tensor:
    """`function(images, *per_image)` in batches that fit the model and the device, its answers (n, …) joined.

    Where memory runs out the batch is halved, which a RuntimeWarning says. On a CPU a batch holds at most eight images
    of 224 x 224, or as many smaller ones: larger ones leave the caches and are slower. A model bound to one batch size
    (`model.batch`, from torch.export) gets batches filled up to it. Arguments as in `interventions.batches.in_batches`.

    Raises:
        DataError: the images are not floating-point (N, C, H, W), or hold NaN or infinity.
        ModelError: the model raises on the images, or memory does not suffice for a single one.

    Example:
        >>> import torch
        >>> in_batches(lambda batch: batch.mean((1, 2, 3)), torch.nn.Identity(), torch.ones(3, 1, 2, 2), batch_size=2)
        tensor([1., 1., 1.])
    """
    require_images(images)
    rows = [_rows(value, images) for value in per_image]
    return rows_in_batches(function, model, images.detach(), *rows, batch_size=cpu_size(images, batch_size))


def baseline_images(images: torch.Tensor, baseline: float | torch.Tensor) -> torch.Tensor:
    """The baseline of each image, in the shape of the images."""
    value = torch.as_tensor(baseline, dtype=images.dtype, device=images.device).detach()
    try:
        value = value.expand_as(images)
    except RuntimeError:
        shape, given = tuple(images.shape), tuple(value.shape)
        raise DataError(f"baseline: expected a number or a tensor that broadcasts to {shape}, got {given}") from None
    if not torch.isfinite(value).all():
        raise DataError("baseline: NaN or infinity in it")
    return value


def _rows(value: Any, images: torch.Tensor) -> Any:
    """What is given for each image, as a tensor that can be cut with them, outside of any graph."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    return value if value is None or isinstance(value, int) else one_each(value, images)


def rows_in_batches(
    function: Callable[..., torch.Tensor], model: nn.Module, *rows: torch.Tensor, batch_size: int
) -> torch.Tensor:
    """`function(*rows)` in batches of exactly that size, for tensors that are no images; else as `in_batches`."""
    try:
        return batches.in_batches(function, *rows, batch_size=batch_size, bound=getattr(model, "batch", None))
    except AuditError:
        raise
    except RuntimeError as error:
        reason = "memory does not suffice for a single image" if out_of_memory(error) else str(error)
        raise ModelError(f"the model cannot be explained on these images: {type(error).__name__}: {reason}") from error


def say_where_zero(attribution: torch.Tensor, name: str) -> torch.Tensor:
    """The attribution as it is; where it is zero everywhere in an image, a RuntimeWarning says so."""
    zero = attribution.sum(tuple(range(1, attribution.ndim))) == 0  # quick; the few that add up to zero are read again
    zero[zero.clone()] = ~attribution[zero].flatten(1).any(1)
    if zero.any():
        warnings.warn(
            f"{name}: the attribution is zero everywhere for {int(zero.sum())} of {len(zero)} images, first for number "
            f"{_first(zero)}: the score does not depend on the image there (a dead or saturated unit, or an activation "
            "of zero), so there is nothing to draw",
            RuntimeWarning,
            stacklevel=3,
        )
    return attribution


def _first(flags: torch.Tensor) -> int:
    return int(flags.nonzero()[0])
