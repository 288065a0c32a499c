"""The calls of one forward pass, with their names, shapes and geometry."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from cnnaudit.interventions.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Call:
    """One function call of a forward pass.

    Attributes:
        name: `block1/relu:2`, or the module's path where a leaf module makes one call (`block1.conv`, with `:k`
            where the module is called more than once); usable as a layer name everywhere.
        module: the path of the module whose forward made the call; empty for the model's own.
        kind: `conv2d`, `relu`, `max_pool2d`, `avg_pool2d`, `linear`, `pad`, `add` …; in-place calls drop the `_`.
        input_shape: of the first tensor; for a call with geometry, before any of the padding joined there.
        output_shape: of the (first) tensor that it returns.
        geometry: for `conv2d`, `max_pool2d` and `avg_pool2d`; else None.
    """

    name: str
    module: str
    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    geometry: Geometry | None = None


def calls(model: nn.Module, images: torch.Tensor) -> list[Call]:
    """The calls of one forward pass, in order, without gradients. Raises UnsupportedError where they are hidden."""
    raise NotImplementedError
