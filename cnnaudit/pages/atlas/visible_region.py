"""What units see: of optimized images, and of those of the data that an ascent can start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnaudit.core.errors import AuditError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from cnnaudit.activation import Box, ReceptiveFields
    from cnnaudit.pages.atlas._exemplars import Exemplars
    from cnnaudit.pages.atlas._optima import Direction, Settings
    from cnnaudit.target import AuditTarget, Split


def fields_of(target: AuditTarget, layer: str, shape: tuple[int, int, int]) -> ReceptiveFields | None:
    """The receptive fields for images of that shape; None where they are not known.

    They need a pass through the whole model, which may reject a size that the layer itself takes.
    """
    from cnnaudit.activation import receptive_fields

    try:
        return receptive_fields(target.model, layer, shape)
    except UnsupportedError:
        return None
    except AuditError:
        raise
    except Exception:  # whatever a model says to a size that is not its own
        return None


def middle_of(fields: ReceptiveFields | None, settings: Settings) -> Box | None:
    """What the middle of the map sees of an optimized image; None where it is not known or the whole map is driven."""
    if fields is None or settings.goal == "channel":
        return None
    height, width = fields.edges.shape[2:]
    return fields.box((height // 2, width // 2))


def natural_start(
    split: Split,
    sample: np.ndarray,
    natural: Exemplars,
    units: Sequence[int],
    direction: Direction,
    settings: Settings,
    fields: ReceptiveFields | None,
    optimized: ReceptiveFields | None,
) -> torch.Tensor:
    """The image of the data that is outermost for each unit, in the size of the optimized ones.

    Where the middle of the map is driven, what the unit saw is moved to what the middle sees; else the whole image is
    resized.

    Args:
        fields, optimized: the receptive fields in images of the data and in the optimized ones.
    """
    import torch
    from torch.nn import functional

    high, chosen, size = direction == "maximum", list(units), settings.shape[1:]
    numbers = (natural.high_images if high else natural.low_images)[chosen, 0]
    images = split.read(sample[numbers])
    if settings.goal == "channel" or fields is None or optimized is None:
        return functional.interpolate(images, size=size, mode="bilinear", antialias=True).clamp(0, 1)
    height, width = optimized.edges.shape[2:]
    moved = []
    for image, unit, place in zip(images, chosen, (natural.high_places if high else natural.low_places)[chosen, 0]):
        box = fields.box((int(place[0]), int(place[1])), unit)
        wide = functional.pad(image, (size[1], size[1], size[0], size[0]), value=0.5)
        middle = optimized.box((height // 2, width // 2), unit)
        top = size[0] + (box.top + box.bottom) // 2 - (middle.top + middle.bottom) // 2
        left = size[1] + (box.left + box.right) // 2 - (middle.left + middle.right) // 2
        moved.append(wide[:, top : top + size[0], left : left + size[1]])
    return torch.stack(moved)
