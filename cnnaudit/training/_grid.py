"""The architectures among which the smallest sufficient network is searched."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import nearest
from cnnaudit.models._minimum import map_side, minimum

if TYPE_CHECKING:
    from torch import nn

#: Named grids. `thesis` varies what España (2021) varied; `wide` takes several times as long as `quick`.
GRIDS: Mapping[str, Mapping[str, Any]] = {
    "thesis": {"hidden": (None, 4, 8, 12, 16)},
    "quick": {
        "filters": (1, 2, 4),
        "kernel": (2, 3),
        "pooling": ("max", "average"),
        "hidden": (None, 4),
        "padding_mode": ("replicate",),
    },
    "wide": {
        "filters": (1, 2, 4, 8),
        "kernel": (2, 3, 4),
        "stride": (1, 2),
        "pooling": ("max", "average"),
        "hidden": (None, 4),
        "activation": ("relu", "abs"),
        "padding_mode": ("zeros", "replicate"),
        "learning_rate": (0.01, 0.03),
    },
}


@dataclass(frozen=True)
class Architecture:
    """One network of `cnnaudit.models.minimum` with its learning rate; the fields are that function's arguments.

    Example:
        >>> network = Architecture(pool=14, hidden=12)
        >>> network.parameters, network.features, str(network)
        (109, 4, '1 filter 3x3, relu, max pool 14, hidden 12')
    """

    filters: int = 1
    kernel: int = 3
    stride: int = 1
    pool: int = 28
    pooling: Literal["max", "average"] = "max"
    hidden: int | None = None
    activation: Literal["relu", "abs", "tanh"] = "relu"
    padding_mode: Literal["zeros", "replicate", "reflect", "circular"] = "zeros"
    learning_rate: float = 0.01
    size: int = 28
    channels: int = 1
    classes: int = 3

    def build(self) -> nn.Sequential:
        """The module, with PyTorch's initial weights."""
        arguments = asdict(self)
        del arguments["learning_rate"]
        return minimum(**arguments)

    @property
    def features(self) -> int:
        """Numbers that the classifier sees of an image."""
        return self.filters * (map_side(self.size, self.kernel, self.stride) // self.pool) ** 2

    @property
    def parameters(self) -> int:
        """Weights and biases together."""
        before = self.filters * (self.channels * self.kernel**2 + 1)
        between = (self.features + 1) * self.hidden if self.hidden else 0
        return before + between + ((self.hidden or self.features) + 1) * self.classes

    @property
    def shape(self) -> Architecture:
        """The same network whatever its learning rate: networks of one shape can be trained as one stack."""
        return Architecture(**{**asdict(self), "learning_rate": 0.0})

    def __str__(self) -> str:
        words = [
            f"{self.filters} filter{'s' if self.filters > 1 else ''} {self.kernel}x{self.kernel}",
            f"stride {self.stride}" if self.stride > 1 else "",
            self.activation,
            f"{self.pooling} pool {self.pool}",
            f"hidden {self.hidden}" if self.hidden else "",
            f"{self.padding_mode} padding" if self.padding_mode != "zeros" else "",
            f"rate {self.learning_rate:g}" if self.learning_rate != 0.01 else "",
        ]
        return ", ".join(word for word in words if word)


def grid(
    size: int = 28,
    channels: int = 1,
    classes: int = 3,
    *,
    filters: Sequence[int] = (1,),
    kernel: Sequence[int] = (3,),
    stride: Sequence[int] = (1,),
    cells: Sequence[int] = (1, 2, 4),
    pooling: Sequence[Literal["max", "average"]] = ("max",),
    hidden: Sequence[int | None] = (None,),
    activation: Sequence[Literal["relu", "abs", "tanh"]] = ("relu",),
    padding_mode: Sequence[Literal["zeros", "replicate", "reflect", "circular"]] = ("zeros",),
    learning_rate: Sequence[float] = (0.01,),
) -> tuple[Architecture, ...]:
    """All combinations that make a network, ordered by their number of parameters.

    Args:
        size, channels: of the images (squares).
        classes: number of classes.
        cells: cells per side into which pooling divides the feature map: its window is the map's side // cells. For 28
            pixels, 1, 2 and 4 are the windows of 28, 14 and 7 of the thesis.
        filters, kernel, stride, pooling, hidden, activation, padding_mode: as in `cnnaudit.models.minimum`.
        learning_rate: of Adam.

    Raises:
        ModelError: no combination makes a network (every feature map is smaller than its cells).

    Example:
        >>> [network.parameters for network in grid(hidden=(None, 12))]
        [16, 25, 61, 73, 109, 253]
    """
    found: dict[Architecture, None] = {}
    for a, b, c, d, e, f, g, h, rate in itertools.product(
        filters, kernel, stride, cells, pooling, hidden, activation, padding_mode, learning_rate
    ):
        side = map_side(size, b, c)
        if 1 <= d <= side and b <= size:
            pool = side // d
            found[Architecture(a, b, c, pool, e, f, g, h, rate, size, channels, classes)] = None
    if not found:
        raise ModelError(f"grid: no network fits images of {size} pixels; give fewer cells or smaller kernels")
    return tuple(sorted(found, key=lambda network: network.parameters))


def named_grid(name: str, size: int, channels: int, classes: int) -> tuple[Architecture, ...]:
    """The grid of that name, `thesis`, `quick` or `wide`, for such images.

    Raises:
        ModelError: there is no grid of that name.
    """
    if name not in GRIDS:
        raise ModelError(f"grid must be one of {', '.join(GRIDS)}, got {name!r}{nearest(name, GRIDS)}")
    return grid(size, channels, classes, **GRIDS[name])
