"""Targets on figures and digits that the plants of both checks of minimum models share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks.readout import readout
from cnnaudit.core.statistics import derive_seed
from cnnaudit.data._shapes import CLASSES as FIGURES

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget, Claims


Splits = dict[str, tuple[np.ndarray, np.ndarray]]


def fitted_target(
    name: str, splits: Splits, classes: int, model: Any = None, claims: Claims | None = None
) -> AuditTarget:
    """A target; without a model, one is fitted in closed form to the training images."""
    from cnnaudit.target import AuditTarget, Claims

    names = FIGURES if classes == len(FIGURES) else tuple("0123456789"[:classes])
    network = model or readout(*splits["train"], classes)
    return AuditTarget.from_arrays(name, network, splits, names, claims=claims or Claims())


def figure_splits(seed: int, **arguments: Any) -> Splits:
    from cnnaudit.data import shapes

    parts = {
        split: shapes(n_per_class=n, seed=derive_seed("planted", seed, split), **arguments)
        for split, n in (("train", 500), ("validation", 200))
    }
    return {split: (part.images, part.labels) for split, part in parts.items()}


SCALING: dict[str, Any] = {"transformation": "scaling", "square": "vertex"}


PLAIN: dict[str, Any] = {"noise": 0, "inverted": False}


NOISY: dict[str, Any] = {"noise": 20, "inverted": True}


STRICT = SCALING | NOISY | {"square": "side"}
