"""What surrounds the content of an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812


def ring(height: int, width: int) -> torch.Tensor:
    """The outermost pixels of a plane: bool (height, width)."""
    mask = torch.ones(height, width, dtype=torch.bool)
    mask[1:-1, 1:-1] = False
    return mask


def backgrounds(images: torch.Tensor) -> torch.Tensor:
    """The background color of each image (N, C): the median of its outermost pixels, channel by channel.

    The median is one of the values that are there, so data with black and white backgrounds keep both, and pixels of
    the content or of noise do not shift it while they are fewer than half of the ring.

    Example:
        >>> backgrounds(torch.ones(2, 1, 5, 5)).flatten().tolist()
        [1.0, 1.0]
    """
    return images[..., ring(*images.shape[-2:])].median(-1).values


def uniform_backgrounds(images: torch.Tensor) -> bool:
    """Whether most images (N, C, H, W) stand on one color, as figures and digits do and photographs do not.

    An image does where 95 % of its outermost pixels differ from their median by less than a quarter of the range.

    Example:
        >>> uniform_backgrounds(torch.ones(2, 1, 5, 5))
        True
    """
    outermost = images[..., ring(*images.shape[-2:])]
    near = (outermost - outermost.median(-1, keepdim=True).values).abs().mean(1) < 0.25
    return bool((near.double().mean(-1) >= 0.95).double().mean() > 0.5)


def over_background(images: torch.Tensor, colors: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Which positions of a map of `size` lie over background, bool (N, *size).

    A position does where the pixels that it covers differ from the background color by less than a quarter of the
    range on average (over pixels and channels).
    """
    difference = (images - colors[..., None, None]).abs().mean(1, keepdim=True)
    return F.adaptive_avg_pool2d(difference, size)[:, 0] < 0.25


def content_box(image: torch.Tensor, color: torch.Tensor) -> tuple[int, int, int, int] | None:
    """Top, bottom, left, right of the content of one image (C, H, W); bottom and right are exclusive.

    The content is where the difference from the background color, averaged over channels and a window of about a
    sixteenth of the side (so that single noisy pixels do not count), exceeds half of its maximum, with a margin of half
    a window around it. None where nothing stands out by a twentieth of the range.
    """
    window = max(3, min(image.shape[-2:]) // 16 | 1)
    difference = (image - color[:, None, None]).abs().mean(0)[None, None]
    smooth = F.avg_pool2d(difference, window, stride=1, padding=window // 2, count_include_pad=False)[0, 0]
    peak = float(smooth.max())
    if peak < 0.05:
        return None
    rows, columns = (smooth > peak / 2).nonzero(as_tuple=True)
    margin, (height, width) = window // 2 + 1, image.shape[-2:]
    top, left = max(int(rows.min()) - margin, 0), max(int(columns.min()) - margin, 0)
    return top, min(int(rows.max()) + 1 + margin, height), left, min(int(columns.max()) + 1 + margin, width)
