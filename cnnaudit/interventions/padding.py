"""What convolutions see beyond the border, replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

Rule = Literal["zeros", "replicate", "reflect", "circular", "noise"]


@contextmanager
def padding_rule(
    rule: Rule,
    *,
    model: nn.Module | None = None,
    layers: Sequence[str] | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[None]:
    """Replace the values that padding puts around the input of 2-d convolutions, while the context lasts.

    `layers` (needs `model`): names of modules (all convolutions in them) or of calls; None: all convolutions.
    """
    raise NotImplementedError
    yield
