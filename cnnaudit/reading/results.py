"""What a reading holds: the images, and everything that was found in their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from cnnaudit.core.statistics import proportion_interval
from cnnaudit.embedding.clusters import Clustering
from cnnaudit.embedding.elbow import Elbow
from cnnaudit.reading.boxplots import Box
from cnnaudit.reading.classifiers import Learner
from cnnaudit.reading.components import Components
from cnnaudit.reading.features import Place
from cnnaudit.reading.first_filters import FirstFilter
from cnnaudit.reading.pixels import MaximumPixels
from cnnaudit.reading.polarity import WORDS
from cnnaudit.reading.trees import Tree


@dataclass(frozen=True, eq=False)
class Images:
    """What was looked at: a sample of the images with what is known of each.

    Attributes:
        pixels: float32 (n, C, H, W).
        labels, answers: the true classes and the network's, (n,).
        white: whether the background is white, (n,); see `both`.
        both: whether white and black backgrounds occur.
    """

    split: str
    pixels: torch.Tensor
    labels: np.ndarray
    answers: np.ndarray
    white: np.ndarray
    both: bool
    classes: tuple[str, ...]

    @property
    def groups(self) -> np.ndarray:
        """The class, or class x background where both occur, as integers from 0, (n,)."""
        return self.labels * 2 + self.white if self.both else self.labels

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups' numbers."""
        if not self.both:
            return self.classes
        return tuple(f"{name} {word}" for name in self.classes for word in WORDS)

    @property
    def examples(self) -> Sequence[int]:
        """The groups that have images, in order."""
        return [int(group) for group in np.unique(self.groups)]


@dataclass(frozen=True)
class Accuracy:
    """The network's right answers in a sample of a split, with the exact 95 % interval of the share."""

    split: str
    right: int
    n: int

    @property
    def share(self) -> float:
        """Of right answers."""
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Exact, 95 %."""
        return proportion_interval(self.right, self.n)


@dataclass(frozen=True, eq=False)
class Clusters:
    """k-means with one cluster per class (and background), beside the classes.

    Attributes:
        found: the clustering, of `comparable` features.
        points: the features it was made from, (n, m).
        by_class: adjusted Rand index with the classes; `by_group`: with classes x backgrounds; `within`: with the
            classes within each background; its `interval` over images and `p_value` over permutations.
        means: the mean image of each cluster, (k, C, H, W).
    """

    found: Clustering
    points: np.ndarray
    by_class: float
    by_group: float
    within: float
    interval: tuple[float, float]
    p_value: float
    means: np.ndarray


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read; a part that these data or this model do not have is None, and `reasons` says why.

    Attributes:
        layers: the network's layers: name, kind, shape of the output, parameters.
        elbow, elbow_again: the rules' numbers of clusters in up to 1,500 images, and in three samples of up to 500.
        auc: how well the first component tells the backgrounds apart, with its interval.
        typical: per group with images, the position of the image whose features are nearest to the group's mean.
        maps: their maps of the layer `maps_of`, (groups, filters, h, w).
    """

    name: str
    parameters: int
    layers: Sequence[tuple[str, str, tuple[int, ...], int]]
    accuracies: Sequence[Accuracy]
    images: Images
    place: Place
    features: np.ndarray
    names: tuple[str, ...]
    boxes: list[list[Box | None]]
    tree: Tree | None
    hand_made: Tree | None
    components: Components
    auc: tuple[float, float, float] | None
    clusters: Clusters | None
    elbow: Elbow | None
    elbow_again: Sequence[Elbow] | None
    pixels: MaximumPixels | None
    convolution: str
    filters: Sequence[FirstFilter]
    learners: Sequence[Learner] | None
    typical: Sequence[int]
    maps: np.ndarray | None
    reasons: Mapping[str, str] = field(default_factory=dict)
