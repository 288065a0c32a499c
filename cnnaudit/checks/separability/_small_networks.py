"""Small networks on the digits or on noise: the plants of the checks of separability."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.statistics import derive_seed, generator

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.target import AuditTarget

_NOISE = 400


def digits_target(seed: int, trained: bool) -> AuditTarget:
    """A small LeNet on the digits of scikit-learn, trained for five epochs or as it was initialized."""
    from cnnaudit.checks.dataset._clean_targets import DIGITS, digit_splits
    from cnnaudit.target import AuditTarget

    name = f"planted: {'trained' if trained else 'untrained'} network on digits"
    splits = {"validation": digit_splits(seed)["validation"]}
    return AuditTarget.from_arrays(name, _network(seed, trained), splits, DIGITS)


def noise_target(seed: int) -> AuditTarget:
    """An untrained network that answers to images of noise: nothing that a plane could hold."""
    from cnnaudit.checks.dataset._clean_targets import DIGITS
    from cnnaudit.target import AuditTarget

    rng = generator("planted", seed, "noise images")
    images = rng.random((_NOISE, 1, 28, 28), dtype=np.float32)
    labels = np.arange(_NOISE) % len(DIGITS)
    return AuditTarget.from_arrays("planted: noise", _network(seed, False), {"validation": (images, labels)}, DIGITS)


@functools.lru_cache(maxsize=8)
def _network(seed: int, trained: bool) -> nn.Module:
    import torch

    from cnnaudit.checks.dataset._clean_targets import digit_splits
    from cnnaudit.models import lenet
    from cnnaudit.training import fit

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(derive_seed("planted", seed) % 2**63)
        model = lenet((8, 16), hidden=32)
    if trained:
        images, labels = digit_splits(seed)["train"]
        fit(model, (torch.as_tensor(images), torch.as_tensor(labels)), epochs=5, seed=seed)
    return model.eval()
