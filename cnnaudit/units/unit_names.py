"""Units by the names that people give them: channel 407 of a layer that joins branches, and who makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class NamedUnit:
    """A channel of a layer, and the unit of a convolution that it comes from.

    Attributes:
        layer, channel: as addressed; `name` is `mixed4b_407`.
        convolution, unit: the convolution that makes it and the unit's number there.
        kernel: height and width of that convolution's kernels.
        branch: which input of the layer's concatenation it is in, from 0; None where the layer joins nothing.
        through: the kinds of the calls between the convolution and the layer, such as ("relu", "max_pool2d").
    """

    layer: str
    channel: int
    convolution: str
    unit: int
    kernel: tuple[int, int]
    branch: int | None
    through: tuple[str, ...]

    @property
    def name(self) -> str:
        """As the literature writes it."""
        return f"{self.layer}_{self.channel}"


def named_unit(model: nn.Module, image: torch.Tensor, name: str) -> NamedUnit:
    """The unit that `mixed4b_407` names: the channel after the last underscore, of the layer before it.

    Args:
        image: (1, C, H, W) or more, of which the first is used.

    Raises:
        UnsupportedError: the name holds no channel number, the layer has fewer channels, or the channel is not made
            by one convolution (a sum of two, for example).
        LayerError: the model has no such layer.

    Source: the names of Olah et al., Feature visualization, Distill 2017, which Garriga 2019 uses.

    Example:
        >>> import torch
        >>> from cnnaudit.models import googlenet
        >>> unit = named_unit(googlenet(10).eval(), torch.rand(1, 3, 64, 64), "mixed4b_407")
        >>> unit.convolution, unit.unit, unit.kernel
        ('mixed4b.5x5', 23, (5, 5))
    """
    layer, _, number = name.rpartition("_")
    if not layer or not number.isdecimal():
        raise UnsupportedError(f"unit {name!r}: expected the name of a layer, an underscore and a channel: mixed4b_407")
    found = named_units(model, image, layer)
    if int(number) >= len(found):
        raise UnsupportedError(f"unit {name!r}: layer {layer} has {len(found)} channels, 0 to {len(found) - 1}")
    unit = found[int(number)]
    if unit is None:
        raise UnsupportedError(f"unit {name!r} is not made by one convolution (a sum or a product of several, perhaps)")
    return unit


def named_units(model: nn.Module, image: torch.Tensor, layer: str) -> list[NamedUnit | None]:
    """The address of every channel of a layer, None where it is not made by one convolution.

    One pass is followed: a convolution makes units; normalization, activation functions, pooling, dropout and padding
    pass channels on; a concatenation joins them, also one of concatenations. Through anything else a channel is lost.

    Args:
        layer: a module or a call, as `interventions.calls` names them.

    Raises:
        LayerError: the model has no such layer, or the pass did not reach it.
        UnsupportedError: the model hides its calls, or the layer's answer is no map.
    """
    from cnnaudit.interventions.images import require_images
    from cnnaudit.interventions.modes import evaluating
    from cnnaudit.units.channel_origins import channel_sources

    require_images(image)
    batch = image[:1].expand(getattr(model, "batch", None) or 1, *image.shape[1:])
    with evaluating(model):
        sources = channel_sources(model, batch, layer)
    return [
        None if s is None else NamedUnit(layer, channel, s.layer, s.unit, s.kernel, s.branch, s.through)
        for channel, s in enumerate(sources)
    ]
