"""What an optimized image is to maximize: units, channels, layers, classes, and sums of them.

An objective holds one goal for each image of a batch, so that all units of a layer ascend together. Objectives add,
subtract and scale: `channel("conv4", 3) - 0.1 * channel("conv4", 7)`, and `-unit("conv1", 0)` looks for the minimum.

How two units interact is a sum, one line: `channel("conv4", 3) + channel("conv4", 7)` shows what drives both together,
and a whole layer beside one unit, `channel("conv4", range(8)) + channel("conv4", 3)`, the unit's meeting with each of
the others (Olah et al., Feature visualization, Distill 2017). The layers may differ.

Example:
    >>> import torch
    >>> from cnnaudit.optimization import channel, maximize
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU())
    >>> both = channel("0", 1) + channel("0", 2)
    >>> found = maximize(net, both, (1, 8, 8), steps=16)
    >>> found.names, bool(found.height[0] >= found.start[0])
    (('0[1] + 0[2]',), True)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from cnnaudit.core.errors import AuditError
from cnnaudit.interventions import run_until
from cnnaudit.interventions.map_layout import grid_readers
from cnnaudit.interventions.modes import evaluating

LOGITS = "logits"  # the model's own answer, among the layers of an objective

Values = Mapping[str, torch.Tensor]
Measure = Callable[[Values, torch.Tensor, torch.Tensor], torch.Tensor]
Position = Literal["center"] | tuple[int, int] | None


@dataclass(frozen=True)
class Objective:
    """A number for each image of a batch.

    Attributes:
        names: of the goals, one per image.
        layers: whose outputs are read, named as in `interventions.calls`; `logits` is the model's answer.
        measure: `measure(values, images, rows) -> (n,)` with the layers' outputs by name, the images (n, C, H, W) and
            which of the goals each of them pursues, int64 (n,).
    """

    names: tuple[str, ...]
    layers: tuple[str, ...]
    measure: Measure

    def __len__(self) -> int:
        return len(self.names)

    def __add__(self, other: Objective) -> Objective:
        return self._with(other, "+", lambda a, b: a + b)

    def __sub__(self, other: Objective) -> Objective:
        return self._with(other, "-", lambda a, b: a - b)

    def __mul__(self, weight: float) -> Objective:
        measure = self.measure
        names = tuple(f"{weight:g} * {name}" for name in self.names)
        return Objective(names, self.layers, lambda values, images, rows: weight * measure(values, images, rows))

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        measure = self.measure
        names = tuple(f"-{name}" for name in self.names)
        return Objective(names, self.layers, lambda values, images, rows: -measure(values, images, rows))

    def repeat(self, times: int) -> Objective:
        """Each goal for `times` images in a row."""
        measure = self.measure
        names = tuple(f"{name} #{k}" for name in self.names for k in range(1, times + 1))
        return Objective(names, self.layers, lambda values, images, rows: measure(values, images, rows // times))

    def _with(self, other: Objective, sign: str, join: Callable[..., torch.Tensor]) -> Objective:
        if len(self) != len(other) and 1 not in (len(self), len(other)):
            raise AuditError(f"objectives for {len(self)} and {len(other)} images do not add up; give as many, or one")
        size = max(len(self), len(other))
        own, others = _spread(self, size), _spread(other, size)
        return Objective(
            tuple(f"{a} {sign} {b}" for a, b in zip(own.names, others.names)),
            tuple(dict.fromkeys((*self.layers, *other.layers))),
            lambda values, images, rows: join(own.measure(values, images, rows), others.measure(values, images, rows)),
        )


def _spread(objective: Objective, size: int) -> Objective:
    """One goal for all images, as often as there are images."""
    if len(objective) == size:
        return objective
    measure = objective.measure
    return Objective(objective.names * size, objective.layers, lambda v, images, rows: measure(v, images, rows * 0))


def unit(layer: str, units: int | Sequence[int], position: Position = "center") -> Objective:
    """The activation of single units, before the ReLU or after it according to the layer that is named.

    Args:
        layer: as in `interventions.calls`; feature maps, as (N, C, H, W) or (N, H, W, C), or (N, F) where a unit is
            one number.
        units: channel numbers, one goal each.
        position: `center` of the map, (row, column), or None: the mean over the map.

    Raises:
        AuditError: when it is measured: a unit or position that the layer does not have.

    Source: Erhan et al., Visualizing higher-layer features of a deep network, 2009.

    Example:
        >>> len(unit("conv1", range(8))), (-unit("conv1", 3)).names
        (8, ('-conv1[3]',))
    """
    chosen = [units] if isinstance(units, int) else list(units)
    names = tuple(f"{layer}[{number}]" for number in chosen)

    def measure(values: Values, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        found = values[layer]
        index = _numbers(chosen, found, layer, rows)
        picked = found[index.new_tensor(range(len(found))), index]
        if picked.ndim == 1:
            return picked
        return picked.mean((1, 2)) if position is None else _at(picked, position, layer)

    return Objective(names, (layer,), measure)


def channel(layer: str, channels: int | Sequence[int]) -> Objective:
    """The mean over the whole map of channels: a pattern that fills the image."""
    return unit(layer, channels, position=None)


def whole_layer(layer: str) -> Objective:
    """The mean square of a layer: more of whatever it sees (Mordvintsev et al., Inceptionism, 2015)."""

    def measure(values: Values, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return values[layer].flatten(1).square().mean(1)

    return Objective((layer,), (layer,), measure)


def logit(classes: int | Sequence[int]) -> Objective:
    """The logit of classes (Simonyan et al. 2013, who subtract `0.01 * squared_norm()` or so)."""
    return unit(LOGITS, classes)


def probability(classes: int | Sequence[int]) -> Objective:
    """The probability of classes, by softmax of the logits: also moves away from the other classes."""
    chosen = [classes] if isinstance(classes, int) else list(classes)

    def measure(values: Values, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        index = _numbers(chosen, values[LOGITS], LOGITS, rows)
        return values[LOGITS].softmax(1).gather(1, index[:, None])[:, 0]

    return Objective(tuple(f"p({number})" for number in chosen), (LOGITS,), measure)


def squared_norm(center: float = 0.5) -> Objective:
    """The sum over pixels and channels of (I - center)^2: `logit(3) - 0.01 * squared_norm()`."""
    return Objective(("|I|^2",), (), lambda values, images, rows: (images - center).flatten(1).square().sum(1))


def total_variation() -> Objective:
    """The mean absolute difference of neighboring pixels, for subtraction (Mahendran and Vedaldi 2015)."""

    def measure(values: Values, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        down, right = images.diff(dim=2).abs(), images.diff(dim=3).abs()
        return down.mean((1, 2, 3)) + right.mean((1, 2, 3))

    return Objective(("TV",), (), measure)


def inversion(model: nn.Module, layer: str, image: torch.Tensor) -> Objective:
    """How well a layer's code of an image is met: -|f(I) - f(I0)|^2 / |f(I0)|^2, 0 at best.

    Args:
        image: I0, (1, C, H, W).

    Source: A. Mahendran and A. Vedaldi, Understanding deep image representations by inverting them, 2015.
    """
    code = _code(model, layer, image)

    def measure(values: Values, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return -(values[layer] - code).flatten(1).square().sum(1) / code.square().sum().clamp_min(1e-12)

    return Objective((f"inversion of {layer}",), (layer,), measure)


def caricature(model: nn.Module, layer: str, image: torch.Tensor, power: float = 1.0) -> Objective:
    """More of what a layer sees in an image: <f(I), f(I0)> cos(f(I), f(I0))^power (Olah et al., lucid, 2018)."""
    code = _code(model, layer, image).flatten(1)

    def measure(values: Values, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        found = values[layer].flatten(1)
        product = (found * code).sum(1)
        cosine = product / (found.norm(dim=1) * code.norm()).clamp_min(1e-12)
        likeness: torch.Tensor = product / code.norm().clamp_min(1e-12) * cosine.clamp_min(0.1) ** power
        return likeness

    return Objective((f"caricature of {layer}",), (layer,), measure)


def diverse(objective: Objective, layer: str, images: int = 4, weight: float = 1.0) -> Objective:
    """Several different images for each goal: the goal less `weight` times the likeness of their styles.

    The likeness is the mean cosine between the Gram matrices G = A A^T of the layer's maps A (C, H W) of those images
    that share a goal.

    Source: C. Olah, A. Mordvintsev, L. Schubert, Feature visualization, Distill 2017.
    """
    several = objective.repeat(images)

    def measure(values: Values, pictures: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        maps = values[layer].flatten(2)
        grams = (maps @ maps.transpose(1, 2)).flatten(1)
        grams = grams / grams.norm(dim=1, keepdim=True).clamp_min(1e-12)
        group = rows // images
        same = (group[:, None] == group) & (rows[:, None] != rows)
        likeness = ((grams @ grams.T) * same).sum(1) / same.sum(1).clamp_min(1)
        score: torch.Tensor = several.measure(values, pictures, rows) - weight * likeness
        return score

    return Objective(several.names, tuple(dict.fromkeys((*several.layers, layer))), measure)


def _code(model: nn.Module, layer: str, image: torch.Tensor) -> torch.Tensor:
    """A layer's answer to one image, read as it will be from the optimized images."""
    if image.ndim != 4 or len(image) != 1:
        raise AuditError(f"expected one image (1, C, H, W), got {tuple(image.shape)}")
    with torch.no_grad(), evaluating(model):
        return grid_readers(model, image, [layer])[layer](run_until(model, image, layer))


def _numbers(chosen: Sequence[int], found: torch.Tensor, layer: str, rows: torch.Tensor) -> torch.Tensor:
    """The unit of each row, checked against the layer."""
    if found.ndim not in (2, 4):
        raise AuditError(f"layer {layer!r} answers {tuple(found.shape)}; expected feature maps (N, C, H, W) or (N, F)")
    wrong = [number for number in chosen if not 0 <= number < found.shape[1]]
    if wrong:
        raise AuditError(f"layer {layer!r} has no unit {wrong[0]}; it has units 0 to {found.shape[1] - 1}")
    return rows.new_tensor(chosen)[rows]


def _at(maps: torch.Tensor, position: Position, layer: str) -> torch.Tensor:
    """The value of each map (n, H, W) at one place."""
    height, width = maps.shape[1:]
    row, column = (height // 2, width // 2) if position == "center" or position is None else position
    if not (0 <= row < height and 0 <= column < width):
        raise AuditError(f"layer {layer!r}: position {(row, column)} is outside its map of {height} x {width}")
    return maps[:, row, column]
