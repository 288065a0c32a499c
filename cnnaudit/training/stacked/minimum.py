"""The gradients of many minimum models at once: one convolution, one pooling, dense layers (`cnnaudit.models.minimum`).

The batch is the same for all models, so the convolution of all of them is one operation (`pooled_convolution`); what
follows are batched matrix products of a few numbers, differentiated by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from cnnaudit.models.absolute import Absolute
from cnnaudit.training.stacked.any import Buffers, columns_of
from cnnaudit.training.stacked.pooled_convolution import (
    ABSOLUTE,
    RELU,
    TANH,
    Activation,
    PullBack,
    filled_up,
    patches_of,
    pooled_average,
    pooled_maximum,
    without_repeats,
)

_ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.ReLU: RELU, nn.Tanh: TANH, Absolute: ABSOLUTE}
_AT_ONCE = 250  # images whose patches are made in one go
_STORED_PATCHES = 1 << 26  # 256 MB; patches of larger data are cut out anew for each batch


Parameters = dict[str, torch.Tensor]  # by name, (M, ...)


class Layer(NamedTuple):
    """A linear layer at work: (M, inputs, B) and (M, outputs, B), one column for each image."""

    inputs: torch.Tensor
    output: torch.Tensor


@dataclass(frozen=True)
class Design:
    """The layers of a minimum model.

    Attributes:
        convolution: its name in the network, and the layer.
        dense: name of each linear layer, and the activation behind it (None behind the last).
    """

    convolution: tuple[str, nn.Conv2d]
    activation: Activation
    pool: int
    average: bool
    dense: tuple[tuple[str, Activation | None], ...]


def design_of(template: nn.Module) -> Design | None:
    """The design of a network Conv2d, activation, pooling, Flatten, Linear [, activation, Linear] ...

    None: it is another.
    """
    layers = list(template.named_children())
    if type(template) is not nn.Sequential or len(layers) < 5 or len(layers) % 2 == 0:
        return None
    (name, convolution), (_, first), (_, pool), (_, flatten) = layers[:4]
    linear, between = layers[4::2], [layer for _, layer in layers[5::2]]
    activations = [_ACTIVATIONS[type(layer)] for layer in (first, *between) if type(layer) in _ACTIVATIONS]
    window = _window(pool)
    if len(activations) <= len(between) or window is None or any(type(layer) is not nn.Linear for _, layer in linear):
        return None
    if type(convolution) is not nn.Conv2d or convolution.groups > 1 or convolution.dilation != (1, 1):
        return None
    if type(flatten) is not nn.Flatten or flatten.start_dim != 1 or flatten.end_dim != -1:
        return None
    dense = tuple((own, after) for (own, _), after in zip(linear, (*activations[1:], None)))
    return Design((name, convolution), activations[0], window, type(pool) is nn.AvgPool2d, dense)


def _window(pool: nn.Module) -> int | None:
    """The side of a square pooling window that is also its stride; None: another pooling."""
    if not isinstance(pool, (nn.MaxPool2d, nn.AvgPool2d)) or pool.ceil_mode or pool.padding not in (0, (0, 0)):
        return None
    if isinstance(pool, nn.MaxPool2d) and (pool.return_indices or pool.dilation not in (1, (1, 1))):
        return None
    if isinstance(pool, nn.AvgPool2d) and pool.divisor_override is not None:
        return None
    sizes: set[int] = set()
    for size in (pool.kernel_size, pool.stride):
        sizes.update(size if isinstance(size, tuple) else (size,))
    return sizes.pop() if len(sizes) == 1 else None


class MinimumModels:
    """A stack of minimum models; model m's parameters are row m of a matrix (M, P).

    Args:
        template: the network.
        design: what `design_of` says of it.
        images, labels: the training data, (N, C, H, W) and (N,).
    """

    def __init__(self, template: nn.Module, design: Design, images: torch.Tensor, labels: torch.Tensor) -> None:
        self._template, self._design, self._images, self._labels = template, design, images, labels
        small = len(images) * self._patches(images[:1]).numel() <= _STORED_PATCHES
        self._stored = self._all_patches() if small else None

    @torch.no_grad()
    def step(
        self, weights: torch.Tensor, buffers: Buffers, indices: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean cross-entropy (M,), logits (M, B, K) and gradient (M, P) of one batch."""
        if self._stored is None:
            patches = self._patches(self._images[indices])
        else:
            patches = self._stored.index_select(0, indices)
        parameters = columns_of(self._template, weights)
        features, pull_back = self._features(patches, parameters)
        layers = self._head(features, parameters)
        logits = layers[-1].output
        shares, labels = logits.log_softmax(1), self._labels[indices][None]
        losses = -shares.gather(1, labels.expand(len(weights), 1, -1)).mean((1, 2))
        truth = shares.new_zeros(shares.shape[1:]).scatter_(0, labels, 1.0)
        upstream = shares.exp().sub_(truth).div_(len(indices))
        gradients = self._gradients(upstream, layers, parameters, pull_back)
        return losses, logits.mT, torch.cat([gradients[name].flatten(1) for name in parameters], 1)

    @torch.no_grad()
    def training_logits(self, weights: torch.Tensor, buffers: Buffers, rows: slice) -> torch.Tensor:
        """Logits (M, n, K) of training images."""
        patches = self._patches(self._images[rows]) if self._stored is None else self._stored[rows]
        return self._logits(weights, patches)

    @torch.no_grad()
    def logits(self, weights: torch.Tensor, buffers: Buffers, images: torch.Tensor) -> torch.Tensor:
        """Logits (M, n, K) of other images."""
        return self._logits(weights, self._patches(images))

    def _logits(self, weights: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        parameters = columns_of(self._template, weights)
        return self._head(self._features(patches, parameters)[0], parameters)[-1].output.mT

    def _all_patches(self) -> torch.Tensor:
        """Those of all images, made of some at a time, so that little more memory is touched than is kept."""
        parts = (self._patches(some) for some in self._images.split(_AT_ONCE))  # type: ignore[no-untyped-call]
        if self._design.average:
            return torch.cat(list(parts))
        return filled_up([without_repeats(part, self._design.pool) for part in parts])

    def _patches(self, images: torch.Tensor) -> torch.Tensor:
        return patches_of(images, self._design.convolution[1], self._design.pool)

    def _features(self, patches: torch.Tensor, parameters: Parameters) -> tuple[torch.Tensor, PullBack]:
        """Features (M, filters windows, B), in the order of `Flatten`, and their pull-back onto (M, filters, K)."""
        name = self._design.convolution[0]
        filters = parameters[f"{name}.weight"].flatten(2)
        if f"{name}.bias" in parameters:
            filters = torch.cat([filters, parameters[f"{name}.bias"][..., None]], 2)
        pool = pooled_average if self._design.average else pooled_maximum
        features, by_filter = pool(patches, filters.flatten(0, 1), self._design.activation)

        def pull_back(upstream: torch.Tensor) -> torch.Tensor:
            return by_filter(upstream.reshape(len(features), -1)).view_as(filters)

        return features.view(len(filters), -1, len(patches)), pull_back

    def _head(self, features: torch.Tensor, parameters: Parameters) -> list[Layer]:
        """What goes into each linear layer, and what comes out of it, before its activation."""
        layers = []
        inputs = features
        for name, activation in self._design.dense:
            product = torch.bmm(parameters[f"{name}.weight"], inputs)
            bias = parameters.get(f"{name}.bias")
            layers.append(Layer(inputs, product if bias is None else product.add_(bias[..., None])))
            inputs = activation.value(product) if activation else inputs
        return layers

    def _gradients(
        self, upstream: torch.Tensor, layers: list[Layer], parameters: Parameters, pull_back: PullBack
    ) -> Parameters:
        """Of each parameter by name, from the gradient of the logits (M, K, B)."""
        gradients: Parameters = {}
        for number in reversed(range(len(layers))):
            name, inputs = self._design.dense[number][0], layers[number].inputs
            gradients[f"{name}.weight"] = torch.bmm(upstream, inputs.mT)
            gradients[f"{name}.bias"] = upstream.sum(2)
            upstream = torch.bmm(parameters[f"{name}.weight"].mT, upstream)
            activation = self._design.dense[number - 1][1] if number else None
            if activation:
                upstream *= activation.slope(layers[number - 1].output, inputs)
        name = self._design.convolution[0]
        filters = pull_back(upstream)
        taps = parameters[f"{name}.weight"][0, 0].numel()
        return gradients | {f"{name}.weight": filters[..., :taps], f"{name}.bias": filters[..., taps:]}
