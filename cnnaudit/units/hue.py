"""The hue of images, turned while their brightness stays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnnaudit.core.errors import DataError

if TYPE_CHECKING:
    import torch

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
TURNS = (90.0, 180.0, 270.0)


def rotate_hue(images: torch.Tensor, degrees: float) -> torch.Tensor:
    """The images with every hue turned by an angle and every pixel's luma kept.

    With Y = .299 R + .587 G + .114 B, the color I - Y is turned around the gray axis, shifted along it until its luma
    is 0 again, and shrunk where it would leave [0, 1]: Y + t (R(I - Y) - luma of it), 0 <= t <= 1 for each pixel.

    Args:
        images: float (..., 3, H, W) in [0, 1].

    Raises:
        DataError: the images have no three channels.

    Example:
        >>> import torch
        >>> red = torch.tensor([0.6, 0.2, 0.2]).view(1, 3, 1, 1)
        >>> [round(float(value), 3) for value in rotate_hue(red, 120).flatten()]
        [0.085, 0.485, 0.085]
    """
    import torch

    require_color(images)
    angle, luma = math.radians(degrees), images.new_tensor(LUMA)
    axis = images.new_full((3,), 3**-0.5)
    cross = torch.linalg.cross(torch.eye(3).to(images), axis.expand(3, 3), dim=1).T
    turn = math.cos(angle) * torch.eye(3).to(images) - math.sin(angle) * cross
    turn = turn + (1 - math.cos(angle)) * torch.outer(axis, axis)
    gray = torch.einsum("c,...chw->...hw", luma, images).unsqueeze(-3)
    color = torch.einsum("dc,...chw->...dhw", turn, images - gray)
    color = color - torch.einsum("c,...chw->...hw", luma, color).unsqueeze(-3)
    room = torch.where(color > 0, 1 - gray, gray) / color.abs().clamp_min(1e-9)
    turned: torch.Tensor = gray + room.amin(-3, keepdim=True).clamp(0, 1) * color
    return turned


def require_color(images: torch.Tensor) -> None:
    """Raise DataError unless the images have three channels."""
    if images.ndim < 3 or images.shape[-3] != 3:
        raise DataError(f"images: expected the three channels of color (..., 3, H, W), got {tuple(images.shape)}")
