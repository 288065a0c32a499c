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
_KEEP_UNITS = {"alpha_dropout", "dropout", "dropout2d", "feature_alpha_dropout", "max_pool2d"}  # may stand between
_FIRES = ACTIVATIONS - {"softplus"}  # above 0 exactly where their input is; softplus is above 0 everywhere


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
        channels_last: whether units are the last axis of what it returns (dense layers on tokens), not the second.
    """

    layer: str
    call: str
    before: str
    units: int
    spatial: bool
    rectified: bool
    channels_last: bool = False


def outlets(model: nn.Module, images: torch.Tensor) -> list[Outlet]:
    """The convolutions of a pass, and the dense layers with an activation function, in order.

    An activation belongs to the layer if it takes that layer's own output as its input, or the layer's output after
    normalization, max pooling or dropout. Dense layers on tokens (the MLPs of a transformer) count likewise; their
    positions are the tokens.

    Args:
        images: float (N, C, H, W); the first is enough.

    Raises:
        UnsupportedError: the model has no such layer, or hides its calls.

    Example:
        >>> from cnnaudit.models import lenet
        >>> [(o.layer, o.call, o.units) for o in outlets(lenet(), torch.rand(1, 1, 28, 28))]
        [('conv1', 'relu1/relu:1', 32), ('conv2', 'relu2/relu:1', 32), ('hidden', 'hidden_relu/relu:1', 128)]
    """
    found = [outlet for outlet in all_outlets(model, images) if outlet.spatial or outlet.rectified]
    if not found:
        raise UnsupportedError("the model has no 2-d convolution and no dense layer with an activation function")
    return found


def all_outlets(model: nn.Module, images: torch.Tensor) -> list[Outlet]:
    """Like `outlets`, with the dense layers that have no activation function, such as the one of the logits."""
    require_images(images)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    count = getattr(model, "batch", None) or 2  # two tell what is computed per image from what is computed once
    with _Links(model, count) as links, torch.no_grad(), evaluating(model):
        model(images[:1].to(device).expand(count, *images.shape[1:]))
    names = dict(zip((site.name for site in links.scopes.seen), display_names(links.scopes.seen)))
    return [
        Outlet(names[c.first], c.last, c.before, c.units, c.spatial, c.rectified, c.channels_last) for c in links.chains
    ]


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
    channels_last: bool
    rectified: bool = False


class _Links(Observer):
    """Follows the output of each layer into its normalization and its activation function, of a pass of `count`."""

    def __init__(self, model: nn.Module, count: int) -> None:
        super().__init__(model)
        self._count = count

    def on_start(self) -> None:
        self.chains: list[_Chain] = []
        self._open: dict[int, tuple[torch.Tensor, _Chain]] = {}  # by identity; the tensor is held, so ids stay apart

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        source = first_tensor((*args, *kwargs.values()))
        output = func(*args, **kwargs)
        found = first_tensor(output)
        if found is None or not found.is_floating_point():
            return output
        if site.kind in ("conv2d", "linear") and found.ndim > 1 and len(found) == self._count:
            self._begin(site, found)
        elif id(source) in self._open and site.kind in _NORMS | _FIRES | _KEEP_UNITS:
            self._follow(site, source, found)
        return output

    def _begin(self, site: Site, found: torch.Tensor) -> None:
        """Start the chain of a layer; of a convolution of one image without a batch axis, none."""
        spatial = site.kind == "conv2d"
        if spatial and found.ndim != 4:
            return
        units = found.shape[1 if spatial else -1]
        chain = _Chain(site.name, site.name, site.name, units, spatial, not spatial and found.ndim > 2)
        self.chains.append(chain)
        self._open[id(found)] = found, chain

    def _follow(self, site: Site, source: torch.Tensor | None, found: torch.Tensor) -> None:
        """Move the chain of `source` on to a call that takes it."""
        chain = self._open[id(source)][1]
        if site.kind not in _KEEP_UNITS:
            del self._open[id(source)]  # its first reader; what pools it or drops some of it leaves it open for others
        if site.kind in _FIRES:
            if not chain.rectified:
                chain.last, chain.rectified = site.name, True
            return
        if site.kind in _NORMS:
            chain.last = chain.before = site.name
        self._open[id(found)] = found, chain


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
            found = found.movedim(-1, 1) if outlet.channels_last else found
            self._function(outlet, found.reshape(*found.shape[:2], -1))
        return output
