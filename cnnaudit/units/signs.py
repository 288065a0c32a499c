"""Whether the signs of a unit's averaged kernel show what drives the unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError

FEWEST = 4  # kernels to rank among


@dataclass(frozen=True, eq=False)
class SignAgreement:
    """How well averaged kernels stand for their units, unit by unit.

    Attributes:
        units: numbers of the units that were asked, (n,).
        correlation: of the unit's averaged kernel with the pattern that drives it, both centered, (n,).
        rank: share of the layer's other kernels that are less like the pattern, ties counting half, (n,); chance is .5.
        shuffled: the same among shuffles of the unit's own kernel, (n,).
        matching: share of positions where kernel and pattern are on the same side of their means, (n,).
        others: the rank of every kernel of the layer in every unit's place, (n, kernels): the null of `rank`.
    """

    units: np.ndarray
    correlation: np.ndarray
    rank: np.ndarray
    shuffled: np.ndarray
    matching: np.ndarray
    others: np.ndarray

    def null(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """The mean rank when each unit is given a random kernel of the layer, (draws,)."""
        n, kernels = self.others.shape
        picked = rng.integers(0, kernels, (draws, n))
        return np.asarray(self.others[np.arange(n), picked].mean(axis=1))


def sign_agreement(
    averaged: np.ndarray, patterns: np.ndarray, units: Sequence[int] | np.ndarray, *, shuffles: int = 200, seed: int = 0
) -> SignAgreement:
    """Compare averaged kernels with the patterns that drive their units, against the kernels of other units.

    With k the averaged kernel and m the pattern in the layer's input (mean over its channels), both less their means
    over the h x w positions, r = <k, m> / (|k| |m|). Its rank among the r of all other kernels of the layer with the
    same pattern says whether the kernel tells more about this unit than any kernel of the layer would: what all kernels
    share, such as a bright center, cancels. A unit that reads a single channel agrees by construction; the question is
    whether averaging over many keeps what matters.

    Args:
        averaged: of all units of the layer, (kernels, h, w), as `LayerKernels.averaged()`.
        patterns: (n, h, w), one per unit that is asked; a constant one agrees with no kernel (r = 0).
        units: the numbers of those units, (n,).
        shuffles: of each kernel's positions.

    Raises:
        UnsupportedError: fewer than 4 kernels, or kernels of one position.
        DataError: shapes that do not belong together, or numbers that are not finite.

    Source: C. Garriga, Studying the characterisation of deep CNN neurons, 2019, section 4.1.3, who compares by eye.

    Example:
        >>> kernels = np.random.default_rng(0).standard_normal((9, 3, 3))
        >>> sign_agreement(kernels, kernels[[2, 5]], [2, 5]).rank.tolist()
        [1.0, 1.0]
    """
    averaged, patterns, units = np.asarray(averaged, float), np.asarray(patterns, float), np.asarray(units, int)
    if averaged.ndim != 3 or patterns.shape != (len(units), *averaged.shape[1:]):
        raise DataError(f"sign_agreement: kernels {averaged.shape}, patterns {patterns.shape} of {len(units)} units")
    if not (np.isfinite(averaged).all() and np.isfinite(patterns).all()):
        raise DataError("sign_agreement: kernels or patterns hold NaN or infinity")
    if len(averaged) < FEWEST or averaged[0].size < 2:
        raise UnsupportedError(
            f"needs {FEWEST} spatial kernels to rank among, got {len(averaged)} of {averaged.shape[1:]}"
        )
    kernels, seen = _standard(averaged), _standard(patterns)
    table = seen @ kernels.T
    rows = np.arange(len(units))
    rng = np.random.default_rng(seed)
    moved = rng.permuted(np.repeat(kernels[units][:, None], shuffles, axis=1), axis=2)
    own = table[rows, units]
    return SignAgreement(
        units,
        own,
        _ranks(table)[rows, units],
        _share_below(np.einsum("nsd,nd->ns", moved, seen), own),
        ((kernels[units] > 0) == (seen > 0)).mean(axis=1),
        _ranks(table),
    )


def _standard(maps: np.ndarray) -> np.ndarray:
    """Maps (n, h, w) as rows of mean 0 and norm 1; constant ones as zeros."""
    rows = maps.reshape(len(maps), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 1e-9 * np.abs(maps).max(initial=0)))


def _ranks(table: np.ndarray) -> np.ndarray:
    """The share of the other entries of each row that are smaller, ties counting half."""
    from scipy.stats import rankdata

    return np.asarray((rankdata(table.round(9), axis=1) - 1) / (table.shape[1] - 1))


def _share_below(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The share of each row's values below its own, ties counting half."""
    values, mark = values.round(9), own.round(9)[:, None]
    return np.asarray(((values < mark) + 0.5 * (values == mark)).mean(axis=1))
