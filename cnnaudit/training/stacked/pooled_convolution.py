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
    n, channels, tall, wide = padded.shape
    rows, columns = ((tall - height) // down + 1) // pool, ((wide - width) // right + 1) // pool
    taps = channels * height * width
    patches = padded.new_ones(n, rows, columns, pool, pool, taps + (convolution.bias is not None))
    by_tap = patches.permute(0, 5, 1, 3, 2, 4)  # (N, taps, rows, pool, columns, pool): the map, tap by tap
    for tap in range(height * width):
        top, left = divmod(tap, width)
        seen = padded[:, :, top::down, left::right][:, :, : rows * pool, : columns * pool]
        by_tap[:, tap : taps : height * width] = seen.reshape(n, channels, rows, pool, columns, pool)
    return patches.view(n, rows * columns, pool * pool, -1)


def _padded(images: torch.Tensor, convolution: nn.Conv2d) -> torch.Tensor:
    """The images with the padding of the convolution."""
    if isinstance(convolution.padding, str):
        totals = [size - 1 if convolution.padding == "same" else 0 for size in convolution.kernel_size]
        sides = [(total // 2, total - total // 2) for total in totals]
    else:
        sides = [(side, side) for side in convolution.padding]
    mode = {"zeros": "constant"}.get(convolution.padding_mode, convolution.padding_mode)
    return functional.pad(images, (*sides[1], *sides[0]), mode=mode)


def without_repeats(patches: torch.Tensor, pool: int) -> torch.Tensor:
    """The patches less those that equal their left or upper neighbor in the window, (N, windows, fewer, K).

    A maximum is the same without them, and on images with plain areas most go. The order stays; windows that have
    fewer patches than others are filled up with their first.
    """
    n, windows, area, taps = patches.shape
    grid = patches.view(n, windows, pool, pool, taps)
    new = torch.ones(n, windows, pool, pool, dtype=torch.bool, device=patches.device)
    new[:, :, :, 1:] &= (grid[:, :, :, 1:] != grid[:, :, :, :-1]).any(4)
    new[:, :, 1:] &= (grid[:, :, 1:] != grid[:, :, :-1]).any(4)
    new = new.flatten(2)
    most = int(new.sum(2).max())
    places = torch.where(new, new.cumsum(2) - 1, most)
    pixels = torch.zeros(n, windows, most + 1, dtype=torch.int64, device=patches.device)
    pixels.scatter_(2, places, torch.arange(area, device=patches.device).expand_as(places))
    rows = pixels[..., :most] + torch.arange(0, n * windows * area, area, device=patches.device).view(n, windows, 1)
    return patches.view(-1, taps).index_select(0, rows.flatten()).view(n, windows, most, taps)


def filled_up(parts: list[torch.Tensor]) -> torch.Tensor:
    """Patches (n, windows, area, K) of several areas as one tensor of the largest, filled up with the first patch."""
    n, most = sum(map(len, parts)), max(part.shape[2] for part in parts)
    whole = parts[0].new_empty(n, parts[0].shape[1], most, parts[0].shape[3])
    for part, place in zip(parts, whole.split([len(part) for part in parts])):  # type: ignore[no-untyped-call]
        place[:, :, : part.shape[2]] = part
        place[:, :, part.shape[2] :] = part[:, :, :1]
    return whole


def pooled_maximum(
    patches: torch.Tensor, filters: torch.Tensor, activation: Activation
) -> tuple[torch.Tensor, PullBack]:
    """Features max(activation(patch . filter)) of each window, (F, windows, N), and their pull-back.

    Ties go to the first pixel, as in `torch.nn.functional.max_pool2d`, which finds the maxima.

    Args:
        patches: (N, windows, area, K), see `patches_of`.
        filters: (F, K).

    Returns:
        The features, and a function from a loss's gradient by feature, (F, windows N), to that by filter, (F, K).
    """
    n, windows, area, taps = patches.shape
    blocks = []
    for matrix in _matrices(patches, filters):
        found = [_peaks(responses, activation) for responses in _maps(patches, matrix)]
        blocks.append([torch.cat(parts).permute(1, 2, 0, 3).flatten(2) for parts in zip(*found)])
    before, pixels = (torch.cat(parts)[: len(filters)].contiguous() for parts in zip(*blocks))
    rows = pixels + torch.arange(0, n * windows * area, windows * area, device=patches.device)
    features = activation.value(before)

    def pull_back(upstream: torch.Tensor) -> torch.Tensor:
        share = upstream.view_as(before) * activation.slope(before, features)
        table = patches.view(-1, taps)
        return functional.embedding_bag(rows.flatten(1), table, per_sample_weights=share.flatten(1), mode="sum")

    return features, pull_back


def _peaks(responses: torch.Tensor, activation: Activation) -> tuple[torch.Tensor, torch.Tensor]:
    """The response that gives each window's maximum, and its pixel counted through the image: (n, F, windows, 1)."""
    responses = responses.permute(0, 3, 1, 2)  # (n, F, windows, area); in memory the filters stay next to one another
    window = (1, responses.shape[3])
    if activation.rising:
        return functional.max_pool2d_with_indices(responses, window)
    pixels = functional.max_pool2d_with_indices(activation.value(responses), window)[1]
    return responses.flatten(2).gather(2, pixels.flatten(2))[..., None], pixels


def pooled_average(
    patches: torch.Tensor, filters: torch.Tensor, activation: Activation
) -> tuple[torch.Tensor, PullBack]:
    """Features mean(activation(patch . filter)) of each window; the rest is as in `pooled_maximum`."""
    windows, area, taps = patches.shape[1:]
    features, slopes = [], []  # slopes: of each feature by its filter
    for matrix in _matrices(patches, filters):
        of_images, first = [], 0
        for responses in _maps(patches, matrix):
            count = len(responses)
            seen = patches[first : first + count].view(-1, area, taps)
            values = activation.value(responses)
            slope = activation.slope(responses, values).view(-1, area, values.shape[3])
            mean = torch.bmm(slope.mT, seen).div_(area).view(count, windows, -1, taps)
            of_images.append((values.mean(2), mean))
            first += count
        value, slope = (torch.cat(parts) for parts in zip(*of_images))
        features.append(value.permute(2, 1, 0))
        slopes.append(slope.permute(2, 1, 0, 3))
    by_filter = torch.cat(slopes)[: len(filters)].flatten(1, 2)

    def pull_back(upstream: torch.Tensor) -> torch.Tensor:
        return torch.bmm(upstream.view(len(filters), 1, -1), by_filter)[:, 0]

    return torch.cat(features)[: len(filters)].contiguous(), pull_back


def _matrices(patches: torch.Tensor, filters: torch.Tensor) -> Iterator[torch.Tensor]:
    """The filters as columns, (K, F'), as many at once as the cache allows; on a CPU filled up with zeros."""
    width = len(filters)
    if patches.device.type == "cpu":
        fitting = _BLOCK_CPU // (patches.shape[1] * patches.shape[2])
        width = min(max(fitting // _LANES * _LANES, _WIDTH // 4), _WIDTH)
        filters = functional.pad(filters, (0, 0, 0, -len(filters) % _LANES))
    for block in filters.split(width):  # type: ignore[no-untyped-call]
        yield block.t().contiguous()


def _maps(patches: torch.Tensor, matrix: torch.Tensor) -> Iterator[torch.Tensor]:
    """The responses (n, windows, area, F) of some images at a time; what is yielded lives until the next turn."""
    n, windows, area, taps = patches.shape
    width = matrix.shape[1]
    block = _BLOCK_CPU if patches.device.type == "cpu" else _BLOCK
    height = min(n, max(1, block // (windows * area * width)))
    buffer = patches.new_empty(height * windows * area, width)
    whole = buffer.view(height, windows, area, width)
    for part in patches.view(-1, taps).split(len(buffer)):  # type: ignore[no-untyped-call]
        torch.mm(part, matrix, out=buffer[: len(part)])
        yield whole[: len(part) // (windows * area)]
