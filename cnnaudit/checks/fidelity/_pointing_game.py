"""Images whose evidence stands at a known place, and how much of a map stands over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from cnnaudit.data.background import backgrounds, content_box

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """Contents of images, each at a random place on its own background.

    Attributes:
        images: (N, C, H, W).
        boxes: top, bottom, left, right of each content, a margin included; bottom and right are exclusive.
        rows: which of the given images they come from.
    """

    images: torch.Tensor
    boxes: list[Box]
    rows: list[int]


def placed(images: torch.Tensor, rng: np.random.Generator) -> Placed:
    """The content of each image (N, C, H, W), at most half as long as the image, at a random place on its background.

    The background is the median color of the image's outermost pixels, the content what differs from it (see
    `padding.background`). Images that are nothing but background are left out.
    """
    made, boxes, rows = [], [], []
    height, width = images.shape[-2:]
    margin = max(1, min(height, width) // 16)
    for row, (image, color) in enumerate(zip(images, backgrounds(images))):
        box = content_box(image, color)
        if box is None:
            continue
        content = _small(image[:, box[0] : box[1], box[2] : box[3]], min(height, width) // 2)
        tall, wide = content.shape[-2:]
        top, left = (int(rng.integers(0, room + 1)) for room in (height - tall, width - wide))
        canvas = color[:, None, None].expand_as(image).clone()
        canvas[:, top : top + tall, left : left + wide] = content
        made.append(canvas)
        rows.append(row)
        boxes.append(
            (
                max(0, top - margin),
                min(height, top + tall + margin),
                max(0, left - margin),
                min(width, left + wide + margin),
            )
        )
    return Placed(torch.stack(made) if made else images[:0], boxes, rows)


def spill(maps: torch.Tensor, boxes: list[Box]) -> np.ndarray:
    """How strong each map is outside its box, as a share: o / (o + i), with o and i the mean energy outside and inside.

    0 for a map that stands over the box alone, 1/2 for one that does not know it, 1 for one that avoids it; 1/2 for an
    empty map.

    Args:
        maps: (N, H, W), saliency; its square is the energy.

    Returns:
        (N,)

    Example:
        >>> spill(torch.ones(1, 4, 4), [(0, 2, 0, 2)]).tolist()
        [0.5]
    """
    shares = []
    for plane, (top, bottom, left, right) in zip(maps.detach().double().cpu().square(), boxes):
        inside = torch.zeros(plane.shape, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        means = [float(plane[mask].mean()) if bool(mask.any()) else 0.0 for mask in (~inside, inside)]
        shares.append(means[0] / sum(means) if sum(means) > 0 else 0.5)
    return np.array(shares)


def _small(content: torch.Tensor, limit: int) -> torch.Tensor:
    """The content (C, h, w), made smaller where it is longer than the limit."""
    longest = max(content.shape[-2:])
    if longest <= limit:
        return content
    size = [max(1, round(side * limit / longest)) for side in content.shape[-2:]]
    return F.interpolate(content[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)
