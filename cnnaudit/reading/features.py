"""The features of a small model: what its classifier reads, or what a named layer gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import Call, calls, run_until
from cnnaudit.interventions.batches import in_batches
from cnnaudit.interventions.inputs import input_of

MOST = 64
LINEAR = ("linear", "addmm")
POOLINGS = ("max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d", "mean", "amax")
_BETWEEN = {"flatten", "reshape", "view", "squeeze", "contiguous", "dropout", "getitem", "clone", "relu"}


@dataclass(frozen=True)
class Place:
    """Where features are read.

    Attributes:
        layer: a linear layer whose input they are, or with `output` a layer whose output they are.
        size: how many features.
        axis: of the layer's input that holds the features, the last one of a linear layer and the first behind the
            batch of a convolution; the others are places, and averaged.
        pooling: the pooling whose cells they are, in order; None where they have no place in the image.
        grid: filters, rows and columns of that pooling's output.
    """

    layer: str
    size: int
    output: bool = False
    axis: int = -1
    pooling: Call | None = None
    grid: tuple[int, int, int] | None = None

    @property
    def words(self) -> str:
        """Such as `the input of output`."""
        return f"the output of {self.layer}" if self.output else f"the input of {self.layer}"


def few_features(observed: Sequence[Call], layer: str | None = None, most: int = MOST) -> Place:
    """Where a model has few features: the input of its first linear layer that reads at most `most`, or a layer's
    output.

    Args:
        observed: the calls of one image, as `cnnaudit.interventions.calls` gives them.
        layer: a layer whose flattened output is wanted instead.

    Raises:
        UnsupportedError: no linear layer reads so few features, or the named layer gives more; layers that would do are
            named.
    """
    if layer is not None:
        return _named(observed, layer, most)
    linear = [index for index, call in enumerate(observed) if call.kind in LINEAR]
    for index in linear:
        size = math.prod(observed[index].input_shape[1:])
        if size <= most:
            pooling, grid = _pooling(observed[:index], size)
            return Place(observed[index].name, observed[index].input_shape[-1], pooling=pooling, grid=grid)
    if not linear:
        raise UnsupportedError(f"the model has no linear layer that reads features. {_candidates(observed, most)}")
    fewest = min(math.prod(observed[index].input_shape[1:]) for index in linear)
    raise UnsupportedError(
        f"the model's linear layers read {fewest:,} features or more, too many to look at one by one (at most {most}). "
        f"{_candidates(observed, most)}"
    )


def last_features(observed: Sequence[Call], classes: int) -> Place:
    """Where the classifier proper is: the input of the last linear layer, or of the last 1x1 convolution that gives
    one map per class.

    Raises:
        UnsupportedError: the model has neither.
    """
    for call in reversed(observed):
        head = call.kind == "conv2d" and call.geometry is not None and call.geometry.kernel == (1, 1)
        if call.kind in LINEAR or (head and call.output_shape[1] == classes):
            axis = 1 if head else -1
            return Place(call.name, call.input_shape[axis], axis=axis)
    raise UnsupportedError("the model ends neither in a linear layer nor in a 1x1 convolution, so it has no features")


def read_features(
    model: nn.Module, images: torch.Tensor, place: Place, *, batch_size: int = 64, device: str = "cpu"
) -> np.ndarray:
    """The features of images, float64 (n, d).

    Maps before a 1x1 convolution, and tokens, are averaged over their positions.

    Args:
        images: float (n, C, H, W) in [0, 1].
    """

    def read(batch: torch.Tensor) -> torch.Tensor:
        batch = batch.to(device)
        found = run_until(model, batch, place.layer) if place.output else input_of(model, batch, place.layer)
        if not place.output and found.ndim > 2:
            found = found.movedim(place.axis, 1).flatten(2).mean(2)
        return found.flatten(1).to("cpu", torch.float64)

    with torch.no_grad():
        return in_batches(read, images, batch_size=batch_size, bound=getattr(model, "batch", None)).numpy()


def feature_names(place: Place) -> tuple[str, ...]:
    """A name per feature: its number and, where it has one, its place in the grid of pooled cells."""
    numbers = range(1, place.size + 1)
    if place.size == 1:
        return ("the feature",)
    if place.grid is None:
        return tuple(f"feature {number}" for number in numbers)
    filters, rows, columns = place.grid
    cells = [(f, r, c) for f in range(filters) for r in range(rows) for c in range(columns)]
    return tuple(f"feature {number} ({_cell(place.grid, *cell)})" for number, cell in zip(numbers, cells))


def model_features(model: nn.Module, images: torch.Tensor, layer: str | None = None) -> np.ndarray:
    """The few features of a model for images, float64 (n, d): `few_features` and `read_features` in one.

    Raises:
        UnsupportedError: as `few_features`.
        LayerError: the model has no such layer.

    Example:
        >>> from cnnaudit.models import minimum
        >>> model_features(minimum(pool=14), torch.rand(5, 1, 28, 28)).shape
        (5, 4)
    """
    return read_features(model, images, few_features(calls(model, images[:1]), layer))


def _cell(grid: tuple[int, int, int], number: int, row: int, column: int) -> str:
    """The place of a cell in words."""
    filters, rows, columns = grid
    if (rows, columns) == (1, 1):
        return f"filter {number + 1}"
    where = f"row {row + 1}, column {column + 1}"
    if (rows, columns) == (2, 2):
        where = f"{('top', 'bottom')[row]} {('left', 'right')[column]}"
    return where if filters == 1 else f"filter {number + 1}, {where}"


def _named(observed: Sequence[Call], layer: str, most: int) -> Place:
    """The output of a named layer."""
    found = [index for index, call in enumerate(observed) if call.name == layer]
    if not found:  # a module that makes several calls: its last one answers
        inside = f"{layer}."
        found = [i for i, call in enumerate(observed) if call.module == layer or call.module.startswith(inside)][-1:]
    if not found:
        return Place(layer, 0, output=True)  # read_features says that the model has no such layer
    call = observed[found[0]]
    size = math.prod(call.output_shape[1:])
    if size > most:
        shape = " x ".join(map(str, call.output_shape[1:]))
        raise UnsupportedError(
            f"layer {layer!r} gives {size:,} values an image ({shape}), too many to look at one by one "
            f"(at most {most}). {_candidates(observed, most)}"
        )
    pooling, grid = _pooling(observed[: found[0] + 1], size)
    return Place(layer, size, True, pooling=pooling, grid=grid)


def _pooling(before: Sequence[Call], size: int) -> tuple[Call | None, tuple[int, int, int] | None]:
    """The pooling that features come straight from, with nothing between that would move or mix them."""
    for call in reversed(before):
        if _pools_places(call) and math.prod(call.output_shape[1:]) == size:
            channels = call.input_shape[1]
            if len(call.output_shape) == 4:
                return call, (channels, *call.output_shape[2:])
            return (call, (channels, 1, 1)) if size == channels else (None, None)
        if call.kind not in _BETWEEN:
            break
    return None, None


def _pools_places(call: Call) -> bool:
    """Whether the call pools rows and columns of maps (N, C, H, W); a mean may average any axes."""
    if call.kind not in POOLINGS or len(call.input_shape) != 4:
        return False
    if call.kind not in ("mean", "amax"):
        return True
    _, channels, *places = call.input_shape
    return channels not in places and tuple(call.output_shape[1:]) in ((channels,), (channels, 1, 1))


def _candidates(observed: Sequence[Call], most: int) -> str:
    """Advice: the layers that could be named."""
    names = list(dict.fromkeys(call.name for call in observed if 1 <= math.prod(call.output_shape[1:]) <= most))
    names = [name for name in names if "/" not in name] or names
    if not names:
        return f"No layer of it gives at most {most} values an image"
    return f"Name a layer whose output to read with --layer: {', '.join(names[-6:])}"
