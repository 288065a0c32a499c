"""Work on images in batches that halve when memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from cnnaudit.core.errors import ModelError
from cnnaudit.core.memory import out_of_memory
from cnnaudit.core.wording import one_line

Answer = TypeVar("Answer", torch.Tensor, tuple[torch.Tensor, ...])


def in_batches(
    function: Callable[..., Answer],
    images: torch.Tensor,
    *per_image: Any,
    batch_size: int = 16,
    bound: int | None = None,
) -> Answer:
    """`function(images, *per_image)` computed batch by batch, its tensors (or tuples of tensors) joined again.

    Where memory runs out the batch is halved, which a RuntimeWarning says once; the answers are the same.

    Args:
        function: works on the images of a batch independently; its answers are (n, …).
        images: (N, C, H, W).
        per_image: more arguments; tensors of N rows are cut with the images, anything else is passed on as it is.
        bound: the only batch size that the model takes (`model.batch` of an exported one), None: any. Batches are
            filled up to it with copies of their last image.

    Raises:
        Exception: whatever `function` raises, running out of memory on a single image included.

    Example:
        >>> in_batches(lambda batch, offset: batch.mean((1, 2, 3)) + offset, torch.ones(3, 1, 2, 2), 1, batch_size=2)
        tensor([2., 2., 2.])
    """
    size, start = bound or max(1, batch_size), 0
    answers: list[Any] = []
    halved = False
    while start < len(images) or not answers:
        chosen = slice(start, start + size)
        try:
            answer = _filled(function, chosen, len(images), bound, images, *per_image)
        except Exception as error:
            if size == 1 or bound or not out_of_memory(error):
                raise
            size, halved = max(1, min(size, len(images)) // 2), True
            continue
        answers.append(answer)
        start += size
    if halved:
        warnings.warn(f"memory ran out: continued in batches of {size} images", RuntimeWarning, stacklevel=2)
    joined: Any = torch.cat(answers) if torch.is_tensor(answers[0]) else tuple(torch.cat(p) for p in zip(*answers))
    return joined  # type: ignore[no-any-return]


def _filled(function: Callable[..., Any], chosen: slice, total: int, bound: int | None, *values: Any) -> Any:
    """The function on those rows, with copies of the last one behind them up to the batch size, whose answers go."""
    cut = [isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == total for value in values]
    parts = [value[chosen] if c else value for value, c in zip(values, cut)]
    n = len(parts[0])
    if not bound or n in (0, bound):
        return function(*parts)
    full = [torch.cat([p, p[-1:].expand(bound - n, *p.shape[1:])]) if c else p for p, c in zip(parts, cut)]
    answer = function(*full)
    return answer[:n] if isinstance(answer, torch.Tensor) else tuple(part[:n] for part in answer)


def fill_batch(images: torch.Tensor, batch: int | None) -> torch.Tensor:
    """The images with copies of the last one behind them, up to the batch size that a model is bound to."""
    if not batch or len(images) >= batch:
        return images
    return torch.cat([images, images[-1:].expand(batch - len(images), *images.shape[1:])])


def forward(model: nn.Module, batch: torch.Tensor) -> None:
    """One pass; what the model raises on these images becomes a ModelError, running out of memory stays what it is."""
    try:
        model(batch)
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        shape = tuple(batch.shape)
        raise ModelError(f"the model cannot take images of {batch.dtype} {shape}: {one_line(error)}") from error
