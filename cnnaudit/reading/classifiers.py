"""Other learners on a network's features, beside the network's own classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit.core.statistics import proportion_interval
from cnnaudit.reading.trees import FOLDS, fold_numbers

NEIGHBORS = 15
TREES = 100


@dataclass(frozen=True)
class Learner:
    """The accuracy of one learner on images that it was not fitted to, with its exact 95 % interval."""

    name: str
    right: int
    n: int
    interval: tuple[float, float]

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.n


def other_learners(features: np.ndarray, labels: np.ndarray, answers: np.ndarray, seed: int = 0) -> list[Learner]:
    """The network's own classifier, 15 nearest neighbors and a random forest of 100 trees on the same images.

    The learners are cross-validated in 5 folds; the network is asked as it is, so the images should be ones that it was
    not trained on. Features are standardized for the neighbors.

    Args:
        features: (n, d).
        labels, answers: the true classes and the network's, (n,).

    Raises:
        UnsupportedError: fewer than two classes with 5 images each.

    Source: Fix and Hodges, Discriminatory analysis, 1951; Breiman, Random forests, 2001.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = fold_numbers(labels, seed)
    fewest = int(np.bincount(folds).max())
    neighbors = min(NEIGHBORS, len(labels) - fewest)
    learners: dict[str, Any] = {
        f"{neighbors} nearest neighbors": make_pipeline(StandardScaler(), KNeighborsClassifier(neighbors)),
        "random forest": RandomForestClassifier(TREES, random_state=seed),
    }
    found = {"the network itself": np.asarray(answers)}
    for name, learner in learners.items():
        given = np.empty(len(labels), dtype=np.int64)
        for fold in range(FOLDS):
            held = folds == fold
            given[held] = learner.fit(features[~held], labels[~held]).predict(features[held])
        found[name] = given
    n = len(labels)
    counts = {name: int((given == labels).sum()) for name, given in found.items()}
    return [Learner(name, right, n, proportion_interval(right, n)) for name, right in counts.items()]
