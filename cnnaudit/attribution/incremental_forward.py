"""What a model answers to images with one window hidden, computed for what the window touches where it can be."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from cnnaudit.attribution.batches import cpu_size, rows_in_batches
from cnnaudit.attribution.patched_tensor import patched
from cnnaudit.attribution.scores import finite_logits
from cnnaudit.attribution.windows import Windows
from cnnaudit.core.errors import AuditError, UnsupportedError
from cnnaudit.interventions.memory_format import bears_channels_last
from cnnaudit.interventions.module_paths import refuse_hidden

Answer = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # logits or images (B, …), image numbers (B,) -> (B, q)

AT_ONCE = 64 * 224 * 224  # pixels of the images that one pass of patched rows stands for


def answers(
    answer: Answer,
    model: nn.Module,
    images: torch.Tensor,
    filling: torch.Tensor,
    places: Windows,
    batch_size: int,
    recompute: str,
) -> torch.Tensor:
    """`answer` of the logits for each image and window, (N, windows, q); see `occlusion` for `recompute`."""
    if recompute not in ("touched", "all"):
        raise AuditError(f"occlusion: recompute is 'touched' or 'all', got {recompute!r}")
    if recompute == "touched":
        obstacle = obstacle_to_patches(model, images[:1], filling[:1], places)
        if obstacle is None:
            return patched_pass(answer, model, images, filling, places)
        warnings.warn(
            f"occlusion computes each occluded image as a whole ({obstacle}); recompute='all' asks for that",
            RuntimeWarning,
            stacklevel=3,
        )

    def whole(batch: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
        return answer(finite_logits(model, batch), owner)

    return plain_pass(whole, model, images, filling, places, batch_size)


def plain_pass(
    function: Answer, model: nn.Module, images: torch.Tensor, filling: torch.Tensor, places: Windows, batch_size: int
) -> torch.Tensor:
    """`function` of the occluded images and the numbers of their images, in batches, (N, windows, q)."""

    def one(rows: torch.Tensor) -> torch.Tensor:
        owner = (rows // len(places)).to(images.device)
        return function(hidden(images, filling, places, rows), owner)

    rows = torch.arange(len(images) * len(places))
    found = rows_in_batches(one, model, rows, batch_size=cpu_size(images, batch_size))
    return found.view(len(images), len(places), -1)


def patched_pass(
    answer: Answer, model: nn.Module, images: torch.Tensor, filling: torch.Tensor, places: Windows
) -> torch.Tensor:
    """For each window what it touches, on the unoccluded activations of its image."""
    order = places.by_border()
    rows = torch.as_tensor(np.add.outer(np.arange(len(images)) * len(places), order).ravel())

    def one(rows: torch.Tensor) -> torch.Tensor:
        owner = (rows // len(places)).to(images.device)
        return answer(_patched_logits(model, images, filling, places, rows)[0], owner)

    at_once = max(1, min(1024, AT_ONCE // (images.shape[2] * images.shape[3])))
    found = rows_in_batches(one, model, rows, batch_size=at_once)
    ordered = torch.empty_like(found).index_copy_(0, rows.to(found.device), found)
    return ordered.view(len(images), len(places), -1)


def obstacle_to_patches(model: nn.Module, image: torch.Tensor, filling: torch.Tensor, places: Windows) -> str | None:
    """Why what a window touches cannot be told here; None where two windows gave the logits of the plain pass."""
    if getattr(model, "batch", None) is not None:
        return "the model is bound to one batch size"
    rows = torch.tensor([0, len(places) // 2])
    try:
        refuse_hidden(model.modules())
        found, followed = _patched_logits(model, image, filling, places, rows)
    except UnsupportedError as error:
        return str(error)
    except Exception as error:
        return f"its calls cannot be followed: {type(error).__name__}: {str(error).splitlines()[0]}"
    if "conv2d" not in followed:
        return "no convolution of it could be followed"
    plain = finite_logits(model, hidden(image, filling, places, rows))
    off = float((found - plain).abs().max())
    allowed = 100 * _rounding(image) * max(1.0, float(plain.abs().max()))
    return None if off <= allowed else f"what is followed is off by {off:.2g} in the logits, more than {allowed:.2g}"


def _patched_logits(
    model: nn.Module, images: torch.Tensor, filling: torch.Tensor, places: Windows, rows: torch.Tensor
) -> tuple[torch.Tensor, list[str]]:
    """The logits of those rows, and the kinds of the calls that were followed."""
    owner, first = rows // len(places), int(rows.min()) // len(places)
    base = images[first : int(rows.max()) // len(places) + 1]
    top, left = places.corner((rows % len(places)).numpy())
    patch = _cut(filling, owner, top, left, places.size)
    tensor = patched(base, (owner - first).to(images.device), top, left, patch)
    assert tensor.part is not None
    followed = tensor.part.followed
    return finite_logits(model, tensor), followed


def hidden(images: torch.Tensor, filling: torch.Tensor, places: Windows, rows: torch.Tensor) -> torch.Tensor:
    """The images with their window filled, one for each row (image number times windows plus window number)."""
    owner = rows // len(places)
    top, left = places.corner((rows % len(places)).numpy())
    batch = in_format_of(images, images[owner.to(images.device)])
    height, width = places.size
    for k, (i, y, x) in enumerate(zip(owner.tolist(), top.tolist(), left.tolist())):
        batch[k, :, y : y + height, x : x + width] = filling[i, :, y : y + height, x : x + width]
    return batch


def one_batch(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The first image, repeated where the model is bound to one batch size: the smallest batch that it takes."""
    return images[:1].repeat(getattr(model, "batch", None) or 1, 1, 1, 1)


def laid_out(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The images in the memory format that is faster, channels last, where the model answers the same in it."""
    last = bears_channels_last(model, images)
    return images.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def in_format_of(images: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """A batch in the memory format of the images; never the images' own memory."""
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    return batch.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _cut(
    filling: torch.Tensor, owner: torch.Tensor, top: np.ndarray, left: np.ndarray, size: tuple[int, int]
) -> torch.Tensor:
    """What fills each window, (B, C, height, width)."""
    device = filling.device
    y = (torch.as_tensor(top)[:, None] + torch.arange(size[0])).to(device)
    x = (torch.as_tensor(left)[:, None] + torch.arange(size[1])).to(device)
    return filling[owner.to(device)[:, None, None], :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def _rounding(images: torch.Tensor) -> float:
    """The relative rounding of the model's arithmetic; TF32 convolutions keep 10 bits of the mantissa."""
    if images.is_cuda and images.dtype == torch.float32 and torch.backends.cudnn.allow_tf32:
        return 2.0**-11
    kind = images.device.type
    lower = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return float(torch.finfo(torch.get_autocast_dtype(kind) if lower else images.dtype).eps)
