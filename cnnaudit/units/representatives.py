"""What the units of a group have in common, by the signs of their averaged kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Representative:
    """What the units of a cluster have in common, by the signs of their averaged kernels.

    Attributes:
        cluster, size: its number, and how many units it has.
        signs: int8 (h, w), the sign of most members at each position; of two equal numbers the positive one.
        agreement: share of positions at which a member has that sign, mean over members.
        candidates: numbers of the members with exactly those signs.
        unit: the candidate (or, without one, the member with most of the signs) that is most like the cluster's mean.
        kernel: its averaged kernel, (h, w), as it was given.
    """

    cluster: int
    size: int
    signs: np.ndarray
    agreement: float
    candidates: tuple[int, ...]
    unit: int
    kernel: np.ndarray


def representative(averaged: np.ndarray, units: np.ndarray, labels: np.ndarray, number: int) -> Representative:
    """The unit that stands for a group: Garriga's validation of clusters (2019, section 4.2.3), steps 1 to 3.

    Args:
        averaged: kernels of all units that were grouped, (n, h, w).
        units: their numbers, (n,).
        labels: their groups, (n,).
        number: of the group, which has a member.

    Example:
        >>> kernels = np.array([[[1.0, -1.0]], [[2.0, -1.0]], [[-1.0, -1.0]]])
        >>> one = representative(kernels, np.arange(3), np.zeros(3), 0)
        >>> one.signs.tolist(), one.candidates
        ([[1, -1]], (0, 1))
    """
    members = np.flatnonzero(labels == number)
    kernels = averaged[members].reshape(len(members), -1)
    signs = np.sign(kernels)
    common = np.where(signs.sum(axis=0) >= 0, 1, -1)
    shared = (signs == common).mean(axis=1)
    candidates = members[shared == 1]
    asked = np.flatnonzero(shared == shared.max())
    mean = kernels.mean(axis=0)
    likeness = kernels[asked] @ mean / np.maximum(np.linalg.norm(kernels[asked], axis=1), 1e-12)
    chosen = members[asked[likeness.argmax()]]
    shape = averaged.shape[1:]
    return Representative(
        number,
        len(members),
        common.astype(np.int8).reshape(shape),
        float(shared.mean()),
        tuple(int(unit) for unit in units[candidates]),
        int(units[chosen]),
        averaged[chosen],
    )
