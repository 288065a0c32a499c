"""What a single operation with random weights does to an image, before any training."""

from __future__ import annotations

import torch
from torch.nn import functional

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.images import require_images


def effects(
    image: torch.Tensor, *, filters: int = 3, kernel: int = 3, pool: int = 2, seed: int = 0
) -> dict[str, torch.Tensor]:
    """One random convolution of an image, and what a ReLU and a max pooling behind it make of it.

    The weights are normal with variance 2 / (C kernel^2) (He et al. 2015), without bias; the convolution pads nothing.

    Args:
        image: float (C, H, W).
        filters: how many random filters.
        kernel: side of the filters.
        pool: side and stride of the pooling window.

    Returns:
        `convolution` (filters, H - kernel + 1, W - kernel + 1), `ReLU` of the same shape, and `max pooling` of the
        convolution's maps.

    Raises:
        DataError: the image is no finite (C, H, W).
        UnsupportedError: the image is smaller than the filter and the pooling window behind it.

    Source: J. A. Lees, Strategies for extracting knowledge from convolutional deep learning architectures, 2017, 4.4.1.

    Example:
        >>> import torch
        >>> {name: tuple(maps.shape) for name, maps in effects(torch.rand(3, 9, 9)).items()}
        {'convolution': (3, 7, 7), 'ReLU': (3, 7, 7), 'max pooling': (3, 3, 3)}
    """
    require_images(image[None])
    channels, height, width = image.shape
    if min(height, width) < kernel + pool - 1:
        raise UnsupportedError(
            f"a {kernel} x {kernel} filter and {pool} x {pool} pooling need an image of at least {kernel + pool - 1} "
            f"pixels a side, got {height} x {width}"
        )
    rng = torch.Generator().manual_seed(seed)
    weights = torch.randn(filters, channels, kernel, kernel, generator=rng) * (2 / (channels * kernel**2)) ** 0.5
    convolved = functional.conv2d(image[None], weights.to(image))[0]
    pooled = functional.max_pool2d(convolved[None], pool)[0]
    return {"convolution": convolved, "ReLU": convolved.relu(), "max pooling": pooled}
