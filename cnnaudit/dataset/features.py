"""Features that anybody could count, and small trees on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from sklearn.tree import DecisionTreeClassifier

_BATCH = 64


def hand_made(images: torch.Tensor, properties: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Features of images (n, C, H, W) in [0, 1], each (n,), by name.

    dark pixels: share b of pixels whose gray value (mean over channels) is below .5; folded dark pixels: min(b, 1 - b),
    the same for an image and its negative; mean and spread (standard deviation) of the gray values; edges: mean
    absolute difference of neighboring gray values; the mean of each channel of a color image; then the files'
    `properties` (size, aspect …) as they are.

    Example:
        >>> import torch
        >>> round(float(hand_made(torch.full((1, 1, 4, 4), 0.25))["mean"][0]), 2)
        0.25
    """
    import torch

    columns = torch.cat([_columns(batch) for batch in torch.split(images, _BATCH)]).double().numpy()
    names = ["dark pixels", "folded dark pixels", "mean", "spread", "edges"]
    names += [f"mean of {color}" for color in ("red", "green", "blue")] if images.shape[1] == 3 else []
    features = dict(zip(names, columns.T))
    for name, column in (properties or {}).items():
        features[name.replace("_", " ")] = np.asarray(column, dtype=float)
    return features


def _columns(images: torch.Tensor) -> torch.Tensor:
    """The features of a few images, (n, 5) or (n, 8)."""
    import torch

    gray = images.mean(dim=1)
    dark = (gray < 0.5).float().mean(dim=(1, 2))
    down = (gray[:, 1:] - gray[:, :-1]).abs().sum(dim=(1, 2))
    right = (gray[:, :, 1:] - gray[:, :, :-1]).abs().sum(dim=(1, 2))
    height, width = gray.shape[1:]
    pairs = max((height - 1) * width + height * (width - 1), 1)
    columns = [dark, torch.minimum(dark, 1 - dark), gray.mean(dim=(1, 2))]
    columns += [gray.std(dim=(1, 2), correction=0), (down + right) / pairs]
    if images.shape[1] == 3:
        columns += list(images.mean(dim=(2, 3)).T)
    return torch.stack(columns, dim=1)


def small_tree(features: np.ndarray, labels: np.ndarray, leaves: int, fewest: int = 1) -> DecisionTreeClassifier:
    """A decision tree with at most that many leaves, classes weighted alike, the best splits first.

    Args:
        features: (n, d).
        fewest: images that a leaf must hold.
    """
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=leaves, min_samples_leaf=fewest, class_weight="balanced", random_state=0
    )
    fitted: DecisionTreeClassifier = tree.fit(features, labels)
    return fitted
