"""Training of the last layers only: what comes before keeps its weights and its statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnaudit.core.errors import DataError
from cnnaudit.core.wording import listed, nearest

if TYPE_CHECKING:
    from torch import nn


def trained_part(model: nn.Module, first_layer: str | None) -> tuple[list[nn.Parameter], list[nn.Module]]:
    """The parameters to train and the modules that keep their weights and batch statistics.

    Parameters and modules count in the order in which the network registers them.

    Args:
        first_layer: the first layer that is trained, named as in `named_modules()`; None: all are.

    Raises:
        DataError: the network has no such layer, or nothing from there on has weights; the nearest name is given.

    Example:
        >>> from cnnaudit.models import lenet
        >>> parameters, frozen = trained_part(lenet(), "hidden")
        >>> len(parameters), len(frozen)
        (4, 7)
    """
    if first_layer is None:
        return list(model.parameters()), []
    names = [name for name, _ in model.named_modules() if name]
    if first_layer not in names:
        owning = [name for name, module in model.named_modules() if name and list(module.parameters(recurse=False))]
        known = nearest(first_layer, names) or f"; layers with weights: {listed(owning, 12)}"
        raise DataError(f"the network has no layer {first_layer!r}{known}")
    before = set(names[: names.index(first_layer)])
    around = {".".join(first_layer.split(".")[:k]) for k in range(1, first_layer.count(".") + 1)}
    frozen = before - around
    parameters = [p for name, p in model.named_parameters() if name.rpartition(".")[0] not in frozen | around]
    if not parameters:
        raise DataError(f"no layer from {first_layer!r} on has weights to train; name an earlier one")
    return parameters, [module for name, module in model.named_modules() if name in frozen]
