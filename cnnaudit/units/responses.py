"""What the units of all layers answer, in one pass: answers are handed on as they come, and none is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.batches import in_batches
from cnnaudit.interventions.images import cpu_size, require_images
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import Site, display_names
from cnnaudit.interventions.observer import Function, Observer
from cnnaudit.interventions.op_types import ACTIVATIONS, first_tensor

_NORMS = {"batch_norm", "group_norm", "instance_norm"}


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where the answers of a layer's units are read.

    Attributes:
        layer: the convolution or the hidden dense layer, as `interventions.calls` names it.
        call: the call that is read: its activation function, else its normalization, else the layer's own.
        before: the same without the activation function, which optimized images are best sought for.
        units: how many units it has.
        spatial: whether it is a convolution.
        rectified: whether an activation function follows, so that a unit can be said to fire.
    """

    layer: str
    call: str
    before: str
    units: int
    spatial: bool
    rectified: bool


def outlets(model: nn.Module, images: torch.Tensor) -> list[Outlet]:
    """The convolutions of a pass, and the dense layers with an activation function, in order.

    An activation belongs to the layer if it takes that layer's own output, or its normalization, as its input.

    Args:
        images: float (N, C, H, W); the first is enough.

    Raises:
        UnsupportedError: the model has no such layer, or hides its calls.

    Example:
        >>> from cnnaudit.models import lenet
        >>> [(o.layer, o.call, o.units) for o in outlets(lenet(), torch.rand(1, 1, 28, 28))]
        [('conv1', 'relu1/relu:1', 32), ('conv2', 'relu2/relu:1', 32), ('hidden', 'hidden_relu/relu:1', 128)]
    """
    require_images(images)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    bound = getattr(model, "batch", None) or 1
    with _Links(model) as links, torch.no_grad(), evaluating(model):
        model(images[:1].to(device).expand(bound, *images.shape[1:]))
    names = dict(zip((site.name for site in links.scopes.seen), display_names(links.scopes.seen)))
    found = [
        Outlet(names[chain.first], chain.last, chain.before, chain.units, chain.spatial, chain.rectified)
        for chain in links.chains
        if chain.spatial or chain.rectified
    ]
    if not found:
        raise UnsupportedError("the model has no 2-d convolution and no dense layer with an activation function")
    return found


def measure(
    model: nn.Module,
    images: torch.Tensor,
    chosen: Sequence[Outlet],
    function: Callable[[torch.Tensor], torch.Tensor],
    *,
    versions: Callable[[torch.Tensor], torch.Tensor] | None = None,
    batch_size: int = 16,
) -> list[np.ndarray]:
    """What `function` makes of every outlet's answers to the images, all outlets in one pass of each batch.

    Args:
        images: float (N, C, H, W) in [0, 1]; batches are moved to the model's device.
        function: from the answers (versions, n, units, positions) of one layer to n numbers or rows of them, (n, ...).
            Positions are those of the map, 1 for a dense layer.
        versions: makes several images of each, (n, C, H, W) -> (versions, n, C, H, W); None: the image itself.
        batch_size: images at a time, halved when memory runs out; on a CPU at most as many as stay in its caches.

    Returns:
        One array (N, ...) for each outlet.

    Raises:
        DataError: the images are no finite (N, C, H, W).
        UnsupportedError: the model hides its calls, or takes batches of one size and several versions are wanted.
    """
    require_images(images)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    bound = getattr(model, "batch", None)
    many = 1 if versions is None else len(versions(images[:1]))
    if bound and many > 1:
        raise UnsupportedError(f"the model takes batches of {bound} images only, and here each is shown {many} times")
    size = cpu_size(images, batch_size * many) if device.type == "cpu" else batch_size * many

    def ask(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        shown = batch.to(device)[None] if versions is None else versions(batch.to(device))
        found: dict[str, torch.Tensor] = {}

        def take(outlet: Outlet, answers: torch.Tensor) -> None:
            found[outlet.call] = function(answers.reshape(*shown.shape[:2], *answers.shape[1:])).cpu()

        with _Watcher(model, {outlet.call: outlet for outlet in chosen}, take):
            model(shown.flatten(0, 1))
        return tuple(found[outlet.call] for outlet in chosen)

    with torch.no_grad(), evaluating(model):
        values = in_batches(ask, images, batch_size=max(1, size // many), bound=bound)
    return [value.numpy() for value in values]


@dataclass
class _Chain:
    """A layer, and the call that its answers are read from so far."""

    first: str
    last: str
    before: str
    units: int
    spatial: bool
    rectified: bool = False


class _Links(Observer):
    """Follows the output of each layer into its normalization and its activation function."""

    def on_start(self) -> None:
        self.chains: list[_Chain] = []
        self._open: dict[int, tuple[torch.Tensor, _Chain]] = {}  # by identity; the tensor is held, so ids stay apart

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        source = first_tensor((*args, *kwargs.values()))
        output = func(*args, **kwargs)
        found = first_tensor(output)
        if found is None or not found.is_floating_point():
            return output
        if (site.kind, found.ndim) in (("conv2d", 4), ("linear", 2)):
            chain = _Chain(site.name, site.name, site.name, found.shape[1], found.ndim == 4)
            self.chains.append(chain)
            self._open[id(found)] = found, chain
        elif site.kind in _NORMS | ACTIVATIONS and id(source) in self._open:
            chain = self._open.pop(id(source))[1]
            chain.last, chain.rectified = site.name, site.kind in ACTIVATIONS
            if not chain.rectified:
                chain.before = site.name
                self._open[id(found)] = found, chain
        return output


class _Watcher(Observer):
    """Hands the answers of the outlets on."""

    def __init__(
        self, model: nn.Module, chosen: Mapping[str, Outlet], function: Callable[[Outlet, torch.Tensor], None]
    ) -> None:
        super().__init__(model)
        self._chosen, self._function = chosen, function

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        output = func(*args, **kwargs)
        outlet = self._chosen.get(site.name)
        if outlet is not None and (found := first_tensor(output)) is not None:
            self._function(outlet, found.reshape(*found.shape[:2], -1))
        return output
