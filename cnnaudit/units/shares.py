"""How many units of a layer show a property, with what chance alone would give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cnnaudit.core.errors import DataError
from cnnaudit.core.statistics import proportion_interval


@dataclass(frozen=True)
class LayerShare:
    """One row of a table of units: a layer, and which of its units were found.

    Attributes:
        layer: the layer's name.
        units: how many units it has.
        found: the numbers of the units with the property, ascending.
        interval: exact binomial interval of the share.
        null: the share that the null gives, None without one.
        null_name: what the null is, such as "permuted kernels".
    """

    layer: str
    units: int
    found: tuple[int, ...]
    interval: tuple[float, float]
    null: float | None = None
    null_name: str = ""

    @property
    def share(self) -> float:
        """The share of the layer's units that were found."""
        return len(self.found) / self.units


def layer_share(
    layer: str,
    units: int,
    found: Iterable[int],
    *,
    confidence: float = 0.95,
    null: float | None = None,
    null_name: str = "",
) -> LayerShare:
    """The row of a layer with the exact interval of its share (Clopper and Pearson 1934).

    Raises:
        DataError: the layer has no unit, or a number is not one of its units.

    Example:
        >>> row = layer_share("conv1", 32, [3, 1])
        >>> row.found, row.share, [round(bound, 3) for bound in row.interval]
        ((1, 3), 0.0625, [0.008, 0.208])
    """
    numbers = tuple(sorted({int(unit) for unit in found}))
    if units < 1 or any(not 0 <= unit < units for unit in numbers):
        raise DataError(f"layer_share: {layer} has units 0 to {units - 1}, got {list(numbers)[:5]}")
    interval = proportion_interval(len(numbers), units, confidence)
    return LayerShare(layer, units, numbers, interval, null, null_name)
