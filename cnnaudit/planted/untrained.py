"""Planted noise: layers left at their initialization."""

from __future__ import annotations

import copy
import functools
from functools import partial
from typing import TYPE_CHECKING, Literal

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.planted.behavior import sampled

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget

Fresh = Literal["none", "last", "all"]

_CHECK = "units.untrained"


def partly_trained(seed: int, fresh: Fresh = "none", source: str = "digits") -> AuditTarget:
    """A LeNet of 8 and 64 filters trained on the source, with layers put back to their initialization.

    `last`: its second convolution, as when a checkpoint names it otherwise and is read without asking. `all`: every
    layer.
    """
    import torch

    from cnnaudit.target import AuditTarget

    images, labels, classes = sampled(source, "validation", seed)
    model = copy.deepcopy(_trained(seed, source))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, layer in model.named_children():
            if fresh == "all" or (fresh == "last" and name == "conv2"):
                getattr(layer, "reset_parameters", lambda: None)()
    split = {"validation": (images, labels)}
    return AuditTarget.from_arrays(f"planted: {fresh} of the layers untrained, {source}", model, split, classes)


@functools.lru_cache(maxsize=2)
def _trained(seed: int, source: str) -> nn.Module:
    """The trained network."""
    from cnnaudit.models import lenet
    from cnnaudit.training import fit

    images, labels, classes = sampled(source, "train", seed)
    model = lenet((8, 64), hidden=32, classes=len(classes), size=images.shape[2], channels=images.shape[1])
    fit(model, (images, labels), epochs=8, learning_rate=0.005, seed=seed)
    return model


PLANTS: tuple[Plant, ...] = (
    Plant(_CHECK, "a convolution was never loaded", partial(partly_trained, fresh="last"), partly_trained, "weights"),
    Plant(_CHECK, "nothing was trained", partial(partly_trained, fresh="all"), partly_trained, "optimized"),
)

_SOURCES = ("dataset 3.0", *(("mnist",) if real.available() else ()))  # the twins are digits

POPULATIONS: tuple[Population, ...] = tuple(
    Population(_CHECK, f"LeNets on {source}", partial(partly_trained, source=source), 6) for source in _SOURCES
)
