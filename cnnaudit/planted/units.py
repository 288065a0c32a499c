"""Planted defects of single units: networks that answer the same, with units that are not what they seem."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.checks.readout import readout

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget

BIASED = 16


def loud_filters(seed: int, source: str = "digits", informative: bool = True) -> AuditTarget:
    """Half of the first layer's filters see the image, the other half answer a constant; one half is louder.

    The louder half is the active one: that of the informative filters, or that of the constants. The predictions are
    the same in both networks, since a ReLU network can undo any scale of a filter in the next layer. Four random
    classes of the images, or all where there are no more.
    """
    from cnnaudit.target import AuditTarget

    rng = np.random.default_rng(seed)
    images, labels, names = _images(source, rng)
    kept = np.sort(rng.choice(len(names), min(4, len(names)), replace=False))
    rows = np.isin(labels, kept)
    images, labels = images[rows], np.searchsorted(kept, labels[rows])
    network = readout(images, labels, len(kept))
    _with_constants(network, rng, (0.05, 2.0) if informative else (2.0, 0.05))
    return AuditTarget.from_arrays(
        f"planted: {'informative' if informative else 'constant'} filters are loud, {source}",
        network,
        {"validation": (images, labels)},
        classes=[names[k] for k in kept],
    )


def _with_constants(network: nn.Sequential, rng: np.random.Generator, loudness: tuple[float, float]) -> None:
    """Give a `readout` 16 more filters of zeros with a bias, and scale its own; what it answers does not change.

    `loudness`: of the constants and of the others, up to a random factor of at most 2 for each filter.
    """
    import torch
    from torch import nn

    convolution, linear = network[0], network[4]
    assert isinstance(convolution, nn.Conv2d) and isinstance(linear, nn.Linear)
    own = len(convolution.weight)
    cells = linear.in_features // own
    draw = torch.from_numpy(rng.uniform(1, 2, own + BIASED)).float()
    gain, bias = loudness[1] * draw[:own], loudness[0] * draw[own:]
    louder = nn.Conv2d(convolution.in_channels, own + BIASED, convolution.kernel_size)  # type: ignore[arg-type]
    wider = nn.Linear((own + BIASED) * cells, linear.out_features)
    with torch.no_grad():
        louder.weight.zero_()
        louder.weight[:own] = convolution.weight * gain.view(-1, 1, 1, 1)
        louder.bias.zero_()  # type: ignore[union-attr]
        louder.bias[own:] = bias  # type: ignore[index]
        wider.weight.zero_()
        wider.weight[:, : own * cells] = linear.weight / gain.repeat_interleave(cells)
        wider.bias.copy_(linear.bias)
    network[0], network[4] = louder.eval(), wider.eval()


def _images(source: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images, labels and class names."""
    from cnnaudit.data import digits, reference

    if source == "digits":
        data = digits("validation")
        return data.images, data.labels, data.classes
    if source == "figures":
        figures = reference("3.0", "validation", int(rng.integers(2**31)), n_per_class=200)
        return figures.images, figures.labels, figures.classes
    images, labels = real.sample(source, 2_000, rng)
    names = real.CIFAR10 if source == "cifar10" else tuple(str(k) for k in range(10))
    return images, labels, names


PLANTS: tuple[Plant, ...] = (
    Plant(
        "units.active_filters",
        "the most active filters answer a constant",
        partial(loud_filters, informative=False),
        partial(loud_filters, informative=True),
    ),
)

_SOURCES = ("figures", *(("mnist", "cifar10") if real.available() else ()))

POPULATIONS: tuple[Population, ...] = tuple(
    Population("units.active_filters", f"active filters that tell, {source}", partial(loud_filters, source=source))
    for source in _SOURCES
)
