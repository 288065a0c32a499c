"""Convolution, activation and pooling of many filters over the same images, with the gradient of the filters.

The filters are the columns of one matrix product with the images' patches. Its result, the map, is pooled block by
block in the processor's cache and never stored: the gradient of a filter needs nothing but the patches at the maxima,
or for an average the windows' mean patches, weighted by the activation's slope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

#: Numbers of the map in work at once, on a CPU (512 kB, which its second-level cache holds) and elsewhere.
_BLOCK_CPU, _BLOCK = 1 << 17, 1 << 26
_LANES = 16  # the number of filters is filled up to a multiple of a vector register's floats
_WIDTH = 128  # filters in work at once

PullBack = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Activation:
    """A function of single numbers: `value(z)`, and `slope(z, a)`, its derivative where it took z to a."""

    value: Callable[[torch.Tensor], torch.Tensor]
    slope: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    rising: bool = True


RELU = Activation(torch.relu, lambda z, a: a.sign())
TANH = Activation(torch.tanh, lambda z, a: 1 - a * a)
ABSOLUTE = Activation(torch.abs, lambda z, a: z.sign(), rising=False)


def patches_of(images: torch.Tensor, convolution: nn.Conv2d, pool: int) -> torch.Tensor:
    """What the filters see, (N, windows, pool**2, C k k [+ 1]), window by window; the last is 1, for the bias.

    Pixels of the map that fill no window are left out, as pooling leaves them out.
    """
    padded = _padded(images, convolution)
    (height, width), (down, right) = convolution.kernel_size, convolution.stride
    found = padded.unfold(2, height, down).unfold(3, width, right)  # (N, C, rows, columns, kernel, kernel)
    n, channels, rows, columns = found.shape[:4]
    found = found[:, :, : rows // pool * pool, : columns // pool * pool]
    found = found.reshape(n, channels, rows // pool, pool, columns // pool, pool, height, width)
    found = found.permute(0, 2, 4, 3, 5, 1, 6, 7).reshape(n, -1, pool * pool, channels * height * width)
    return found if convolution.bias is None else torch.cat([found, torch.ones_like(found[..., :1])], 3)


def _padded(images: torch.Tensor, convolution: nn.Conv2d) -> torch.Tensor:
    """The images with the padding of the convolution."""
    if isinstance(convolution.padding, str):
        totals = [size - 1 if convolution.padding == "same" else 0 for size in convolution.kernel_size]
        sides = [(total // 2, total - total // 2) for total in totals]
    else:
        sides = [(side, side) for side in convolution.padding]
    mode = {"zeros": "constant"}.get(convolution.padding_mode, convolution.padding_mode)
    return functional.pad(images, (*sides[1], *sides[0]), mode=mode)


def pooled_maximum(
    patches: torch.Tensor, filters: torch.Tensor, activation: Activation
) -> tuple[torch.Tensor, PullBack]:
    """Features max(activation(patch . filter)) of each window, (F, N windows), and their pull-back.

    Ties go to the first pixel, as in `torch.nn.functional.max_pool2d`, which finds the maxima.

    Args:
        patches: (N, windows, area, K), see `patches_of`.
        filters: (F, K).

    Returns:
        The features, and a function from a loss's gradient by feature, (F, N windows), to that by filter, (F, K).
    """
    n, windows, area, taps = patches.shape
    best = patches.new_empty(n, windows, len(filters))
    pixel = torch.empty(n, windows, len(filters), dtype=torch.int64, device=patches.device)
    for images, chosen, responses in _maps(patches, filters):
        keys = responses if activation.rising else activation.value(responses)
        pixels_first = keys.view(-1, windows, area, keys.shape[-1]).permute(0, 3, 1, 2)  # (n, F, windows, area)
        values, where = functional.max_pool2d(pixels_first, (1, area), return_indices=True)
        where = where.permute(0, 2, 3, 1).flatten(1, 2)
        values = values.permute(0, 2, 3, 1).flatten(1, 2) if activation.rising else responses.gather(1, where)
        count = chosen.stop - chosen.start
        best[images, :, chosen], pixel[images, :, chosen] = values[..., :count], where[..., :count]
    pixel += torch.arange(n, device=patches.device)[:, None, None] * (windows * area)
    before, rows = (part.flatten(0, 1).t().contiguous() for part in (best, pixel))
    features = activation.value(before)

    def pull_back(upstream: torch.Tensor) -> torch.Tensor:
        share = upstream * activation.slope(before, features)
        return functional.embedding_bag(rows, patches.view(-1, taps), per_sample_weights=share, mode="sum")

    return features, pull_back


def pooled_average(
    patches: torch.Tensor, filters: torch.Tensor, activation: Activation
) -> tuple[torch.Tensor, PullBack]:
    """Features mean(activation(patch . filter)) of each window; the rest is as in `pooled_maximum`."""
    n, windows, area, taps = patches.shape
    features = patches.new_empty(n, windows, len(filters))
    slopes = patches.new_empty(n, windows, len(filters), taps)  # of each feature by its filter
    for images, chosen, responses in _maps(patches, filters):
        values = activation.value(responses)
        slope = activation.slope(responses, values).view(-1, area, responses.shape[-1])
        mean = torch.bmm(slope.transpose(1, 2), patches[images].view(-1, area, taps)) / area
        count = chosen.stop - chosen.start
        features[images, :, chosen] = values.view(-1, windows, area, values.shape[-1]).mean(2)[..., :count]
        slopes[images, :, chosen] = mean.view(-1, windows, *mean.shape[1:])[:, :, :count]

    def pull_back(upstream: torch.Tensor) -> torch.Tensor:
        return torch.einsum("fr,rfk->fk", upstream, slopes.flatten(0, 1))

    return features.flatten(0, 1).t(), pull_back


def _maps(patches: torch.Tensor, filters: torch.Tensor) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """The responses of some filters to some images at a time: which images, which filters, (n, windows area, F).

    On a CPU the last axis is filled up with zeros; what is yielded lives until the next turn.
    """
    n, windows, area, taps = patches.shape
    on_cpu = patches.device.type == "cpu"
    block = _BLOCK_CPU if on_cpu else _BLOCK
    columns = functional.pad(filters, (0, 0, 0, -len(filters) % _LANES)) if on_cpu else filters
    width = min(len(columns), max(_WIDTH // 4, min(_WIDTH, block // (windows * area) // _LANES * _LANES)))
    height = max(1, block // (windows * area * width))
    flat = patches.view(n, windows * area, taps)
    for left in range(0, len(columns), width):
        matrix = columns[left : left + width].t().contiguous()
        chosen = slice(left, min(left + width, len(filters)))
        for top in range(0, n, height):
            images = slice(top, min(top + height, n))
            product = torch.mm(flat[images].view(-1, taps), matrix)
            yield images, chosen, product.view(images.stop - top, windows * area, -1)
