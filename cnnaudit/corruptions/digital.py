"""What processing does: contrast, elastic deformation, coarse pixels, JPEG."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch.nn import functional

from cnnaudit.corruptions import filters


def contrast(images: torch.Tensor, factor: float, size: float, generator: torch.Generator) -> torch.Tensor:
    """The distance of each channel from its mean, shrunk."""
    means = images.mean((2, 3), keepdim=True)
    return (images - means) * factor + means


def elastic_transform(
    images: torch.Tensor, setting: tuple[float, float, float], size: float, generator: torch.Generator
) -> torch.Tensor:
    """A random affine map of three points of the image, then smooth random displacements of its pixels."""
    strength, smoothness, jitter = (value * size for value in setting)
    n, _, height, width = images.shape
    center, reach = torch.tensor([width // 2, height // 2]).float(), min(height, width) // 3
    points = center + reach * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    moved = points + jitter * (2 * torch.rand((n, 3, 2), generator=generator) - 1)
    turned = _affine(images, moved, points)
    noise = 2 * torch.rand((2, n, height, width), generator=generator) - 1
    across, down = (strength * filters.gaussian_blur(part, smoothness, 3, filters.mirrored) for part in noise)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack(((2 * (x + across) + 1) / width - 1, (2 * (y + down) + 1) / height - 1), -1).to(images)
    return functional.grid_sample(turned, grid, "bilinear", "reflection", align_corners=False)


def _affine(images: torch.Tensor, moved: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """The images with `points` (3, 2), (x, y) in pixels, carried to `moved` (n, 3, 2); mirrored within the border."""
    height, width = images.shape[2:]
    known = torch.cat((moved, torch.ones(len(moved), 3, 1)), 2).double()
    back = torch.linalg.solve(known, points.double().expand(len(moved), -1, -1))  # from moved to original, (n, 3, 2)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack((x, y, torch.ones_like(x)), -1).double()
    places = torch.einsum("hwi,nij->nhwj", pixels, back)
    grid = 2 * places / torch.tensor([width - 1, height - 1]) - 1
    return functional.grid_sample(images, grid.to(images), "bilinear", "reflection", align_corners=True)


def pixelate(images: torch.Tensor, factor: float, size: float, generator: torch.Generator) -> torch.Tensor:
    """Resized to a part of its size and back, each pixel a box."""
    matrices = []
    for side in images.shape[2:]:
        few = max(1, int(side * factor))
        matrices.append(filters.box_matrix(few, side) @ filters.box_matrix(side, few))
    return filters.both_axes(images, *matrices)


def jpeg_compression(images: torch.Tensor, quality: int, size: float, generator: torch.Generator) -> torch.Tensor:
    """Written as JPEG of that quality and read again."""
    return jpeg(images, quality)


def jpeg(images: torch.Tensor, quality: int) -> torch.Tensor:
    """Images (N, C, H, W) in [0, 1], C 1 or 3, after one way through Pillow's JPEG of that quality (1 to 95).

    Example:
        >>> jpeg(torch.full((1, 3, 8, 8), 0.5), 75).shape
        torch.Size([1, 3, 8, 8])
    """
    from PIL import Image

    pixels = (images.detach().cpu() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    read = np.empty_like(pixels)
    for k, image in enumerate(pixels):
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "JPEG", quality=quality)
        read[k] = np.asarray(Image.open(file)).reshape(image.shape)
    return (torch.from_numpy(read).permute(0, 3, 1, 2).float() / 255).to(images)
