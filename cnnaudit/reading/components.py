"""Principal components of features, and what the first of them tells apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components.

    Attributes:
        scores: the features' coordinates along the components, (n, m).
        axes: the components, (m, d), orthonormal.
        shares: of the variance, (m,); 0 where nothing varies.
        center: the mean of the features, (d,).
    """

    scores: np.ndarray
    axes: np.ndarray
    shares: np.ndarray
    center: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Coordinates (k, m) of other points (k, d)."""
        return np.asarray((points - self.center) @ self.axes.T)


def principal_components(features: np.ndarray) -> Components:
    """The components of centered features, by singular value decomposition; features share a unit and are not scaled.

    The sign of a component is such that its largest weight is positive.

    Args:
        features: (n, d).

    Source: Hotelling, Analysis of a complex of statistical variables into principal components, 1933.

    Example:
        >>> principal_components(np.array([[0.0, 0.0], [1.0, 1.0]])).shares.round(2).tolist()
        [1.0, 0.0]
    """
    features = np.asarray(features, dtype=float)
    center = features.mean(axis=0)
    _, s, axes = np.linalg.svd(features - center, full_matrices=False)
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    axes = axes * np.where(signs == 0, 1, signs)[:, None]
    variance = s**2
    total = variance.sum()
    shares = variance / total if total > 0 else np.zeros_like(variance)
    return Components((features - center) @ axes.T, axes, shares, center)


def separation(values: np.ndarray, groups: np.ndarray) -> float:
    """How well one number tells two groups apart: the area under the ROC curve, the better way round, .5 to 1.

    The share of pairs, one of each group, that the number orders alike; ties count half. .5 where a group is empty.

    Args:
        values: (n,).
        groups: bool (n,).

    Source: Hanley and McNeil, The meaning and use of the area under a ROC curve, 1982.

    Example:
        >>> separation(np.array([1.0, 2.0, 3.0]), np.array([True, False, False]))
        1.0
    """
    from scipy.stats import rankdata

    groups = np.asarray(groups, dtype=bool)
    yes, no = int(groups.sum()), int((~groups).sum())
    if not yes or not no:
        return 0.5
    area = (rankdata(values)[groups].sum() - yes * (yes + 1) / 2) / (yes * no)
    return float(max(area, 1 - area))
