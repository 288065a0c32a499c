"""What each padded convolution would answer with noise for its padding, and on noise, beside what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cnnaudit.core.statistics import derive_seed
from cnnaudit.interventions.geometry import note_pad
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import Site
from cnnaudit.interventions.observer import Function, Observer
from cnnaudit.interventions.op_types import ACTIVATIONS, first_tensor
from cnnaudit.interventions.padding import on_noise, repadded

Rings = tuple[int, int, int, int]
_NORMS = {"batch_norm", "group_norm", "instance_norm"}


class PaddingAblation:
    """Callable on a batch (n, C, H, W): per layer the answers (n, units, 3, 5).

    Three: of the layer as it is, with noise in place of its padding, on noise. Five: the mean positive part at the
    outermost line of the top, bottom, left and right, and in the interior; NaN where a side has no padding. They are
    read behind the normalization and the activation function of the layer; the network goes on with the first.

    Args:
        rings: per layer the rows at the top and bottom, columns at the left and right that the padding reaches.
    """

    def __init__(self, model: nn.Module, rings: Mapping[str, Rings], seed: int) -> None:
        self._model, self._rings = model, rings
        self._noise = {name: torch.Generator().manual_seed(derive_seed(seed, name, "duality")) for name in rings}

    def __call__(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The answers of each layer, in the order of `rings`."""
        with evaluating(self._model), torch.no_grad(), _Follower(self._model, self._rings, self._noise) as follower:
            self._model(batch)
        return tuple(follower.answers[name] for name in self._rings)


@dataclass
class _Trail:
    """A layer's answer on its way to the activation function, and what it would be."""

    layer: str
    answer: torch.Tensor
    others: tuple[torch.Tensor, torch.Tensor]


class _Follower(Observer):
    """Makes every call behind a chosen convolution on the other two answers too, up to its activation function."""

    def __init__(self, model: nn.Module, rings: Mapping[str, Rings], noise: Mapping[str, torch.Generator]) -> None:
        super().__init__(model)
        self._rings, self._noise = rings, noise
        self._layers = {self.scopes.resolve(name): name for name in rings}

    def on_start(self) -> None:
        self.answers: dict[str, torch.Tensor] = {}
        self._open: dict[int, _Trail] = {}  # by identity of the answer, which is held so that ids stay apart

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        layer = self._layer(site)
        if layer is not None:
            others = (
                repadded(func, args, kwargs, "noise", self._noise[layer], layer),
                on_noise(func, args, kwargs, self._noise[layer]),
            )
            output = func(*args, **kwargs)
            self._read(_Trail(layer, output, others), ends=False)
            return output
        trail = self._trail(site, args, kwargs)
        if trail is not None:  # before the call itself, which may change its input
            first, second = (self._again(func, args, kwargs, trail, other) for other in trail.others)
            output = func(*args, **kwargs)
            self._read(_Trail(trail.layer, output, (first, second)), ends=site.kind in ACTIVATIONS)
            return output
        output = func(*args, **kwargs)
        if site.kind == "pad" and (padded := first_tensor(output)) is not None:
            note_pad(func, args, kwargs, padded)
        return output

    def _layer(self, site: Site) -> str | None:
        """The chosen layer that the call is."""
        if site.kind != "conv2d":
            return None
        inner = site.stack[-1]
        return next((self._layers[n] for n in (site.name, inner.name, inner.path) if n in self._layers), None)

    def _trail(self, site: Site, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Trail | None:
        """The trail that a normalization or activation function goes on with."""
        if site.kind not in _NORMS | ACTIVATIONS:
            return None
        return self._open.pop(id(first_tensor((*args, *kwargs.values()))), None)

    @staticmethod
    def _again(
        func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], trail: _Trail, other: torch.Tensor
    ) -> torch.Tensor:
        """The call on another answer."""
        swapped = func(
            *(other if arg is trail.answer else arg for arg in args),
            **{name: other if value is trail.answer else value for name, value in kwargs.items()},
        )
        found = first_tensor(swapped)
        assert found is not None
        return found

    def _read(self, trail: _Trail, ends: bool) -> None:
        """Keep the means of the three answers, and follow them further unless this was the activation function."""
        three = torch.stack([_means(maps, self._rings[trail.layer]) for maps in (trail.answer, *trail.others)], 2)
        self.answers[trail.layer] = three
        if not ends:
            self._open[id(trail.answer)] = trail


def _means(maps: torch.Tensor, rings: Rings) -> torch.Tensor:
    """The mean positive part at the four sides and inside: (n, units, 5)."""
    return torch.stack([part.clamp(min=0).mean((2, 3)) for part in _parts(maps, rings)], 2)


def _parts(maps: torch.Tensor, rings: Rings) -> Iterator[torch.Tensor]:
    """The outermost lines of the four sides, and the interior. An empty part has the mean NaN."""
    top, bottom, left, right = rings
    height, width = maps.shape[-2:]
    yield maps[..., : min(top, 1), left : width - right]
    yield maps[..., height - min(bottom, 1) :, left : width - right]
    yield maps[..., top : height - bottom, : min(left, 1)]
    yield maps[..., top : height - bottom, width - min(right, 1) :]
    yield maps[..., top : height - bottom, left : width - right]
