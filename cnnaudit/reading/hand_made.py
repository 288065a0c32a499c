"""Features that anybody could count, and small trees on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.statistics import balanced as scores

if TYPE_CHECKING:
    import torch
    from sklearn.tree import DecisionTreeClassifier

_BATCH = 64


def hand_made(images: torch.Tensor, properties: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Features of images (n, C, H, W) in [0, 1], each (n,), by name.

    dark pixels: share b of pixels whose gray value (mean over channels) is below .5; folded dark pixels: min(b, 1 - b),
    the same for an image and its negative; mean and spread (standard deviation) of the gray values; edges: mean
    absolute difference of neighboring gray values; the mean of each channel of a color image; then the files'
    `properties` that are numbers (size, aspect …) as they are.

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
        if np.asarray(column).dtype.kind in "biuf":
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


@dataclass(frozen=True, eq=False)
class Explained:
    """What a small tree achieves beside a model.

    Attributes:
        tree: the fitted tree.
        score, larger, model: balanced accuracy above chance of the tree, of a larger tree and of the model.
        ratio: score over model; `interval`: of the ratio.
    """

    tree: DecisionTreeClassifier
    score: float
    larger: float
    model: float
    ratio: float
    interval: tuple[float, float]


def explain(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    answers: np.ndarray,
    confidence: float,
    rng: np.random.Generator,
) -> Explained:
    """How much of what a model achieves above chance a tree of max(6, 2K) leaves achieves.

    The larger tree has max(16, 5K) leaves. The interval is a Bayesian bootstrap over the validation images of each
    class, tree and model on the same images.

    Args:
        train, validation: features (n, d) and labels (n,); the trees are fitted to the first and asked of the second.
        answers: the model's classes for the validation images, (n,).
    """
    questions, truth = validation
    k = len(np.unique(train[1]))
    tree, larger = (small_tree(*train, leaves) for leaves in (max(6, 2 * k), max(16, 5 * k)))
    guessed = tree.predict(questions)
    score, model = (scores.balanced_score(given, truth) for given in (guessed, answers))
    counts = scores.class_counts(2 * (guessed == truth) + (answers == truth), truth, 4)
    rates = scores.draw_counts(counts, rng)
    drawn, reached = (scores.above_chance(rates[..., right].sum(axis=-1)) for right in ([2, 3], [1, 3]))
    ratios = np.clip(drawn / np.maximum(reached, 1e-3), -1, 3)
    bounds = scores.interval(score / model, ratios, confidence)
    beside = scores.balanced_score(larger.predict(questions), truth)
    return Explained(tree, score, beside, model, score / model, bounds)
