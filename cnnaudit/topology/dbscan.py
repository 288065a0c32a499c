"""DBSCAN inside many groups of the same points at once, exact, by blocks of a matrix product.

Squared distances come from one product in single precision per block that stays in the cache; pairs too close to eps
to be sure of are measured again in double precision. Sparse groups give their pairs; dense groups, whose pairs would
not fit, give a spanning forest found by breadth-first search. One union of all of it labels every group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLOCK = 1 << 18  # distances per block: 1 MB, which stays in a core's cache
DENSE = 48  # neighbors per point beyond which pairs are not kept
ROUNDING = 4e-6  # of single precision in a squared distance, relative to the largest squared norm


def dbscan(points: np.ndarray, groups: Sequence[np.ndarray], eps: float, min_samples: int) -> list[np.ndarray]:
    """The clusters of each group, sorted arrays of point numbers: groups in order, clusters by their first core point.

    A core point has at least `min_samples` points of its group, itself included, within `eps` (Euclidean, inclusive);
    core points within eps share a cluster; any other point within eps of a core point joins the first such cluster.

    Args:
        points: (N, d) finite.
        groups: indices into the points; groups may overlap.

    Source: M. Ester, H.-P. Kriegel, J. Sander, X. Xu, A density-based algorithm for discovering clusters, 1996; the
    order of clusters, and whose the points between them are, is scikit-learn's.

    Example:
        >>> points = np.array([[0.0], [0.1], [0.2], [5.0]])
        >>> [cluster.tolist() for cluster in dbscan(points, [np.arange(4)], eps=0.3, min_samples=3)]
        [[0, 1, 2]]
    """
    groups = [group for group in groups if len(group) >= min_samples]
    if not groups:
        return []
    entries = np.concatenate(groups)
    degree = np.ones(len(entries), dtype=np.int32)
    lefts, rights = [], []
    start = 0
    for group in groups:
        measured = _Distances(points[group], eps)
        pairs = measured.pairs(DENSE * len(group))
        if pairs is None:
            counts, pairs = measured.forest(min_samples)
        else:
            counts = 1 + np.bincount(np.concatenate(pairs), minlength=len(group))
        degree[start : start + len(group)] = counts
        lefts.append(pairs[0] + np.int32(start))
        rights.append(pairs[1] + np.int32(start))
        start += len(group)
    labels = _label(degree >= min_samples, np.concatenate(lefts), np.concatenate(rights))
    order = np.argsort(labels, kind="stable")
    order = order[np.searchsorted(labels[order], 0) :]
    if not len(order):
        return []
    return np.split(entries[order], np.flatnonzero(np.diff(labels[order])) + 1)


def _label(core: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cluster numbers, -1 for noise: components of core points by their first one, others with the lowest near them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    labels = np.full(len(core), -1)
    members = np.flatnonzero(core)
    if not len(members):
        return labels
    both = core[left] & core[right]
    position = np.cumsum(core) - 1
    graph = coo_array(
        (np.ones(both.sum(), dtype=bool), (position[left[both]], position[right[both]])), shape=(len(members),) * 2
    )
    component = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    labels[members] = np.argsort(np.argsort(first))[inverse]
    lowest = np.full(len(core), len(core))
    for a, b in ((left, right), (right, left)):
        edge = core[a] & ~core[b]
        np.minimum.at(lowest, b[edge], labels[a[edge]])
    touched = lowest < len(core)
    labels[touched] = lowest[touched]
    return labels


class _Distances:
    """Squared distances minus eps squared, block by block, as one product of extended points.

    Points are sorted along the group's longest axis: none is within eps of another that lies further away along it.
    """

    def __init__(self, points: np.ndarray, eps: float) -> None:
        centered = np.asarray(points, dtype=float) - np.mean(points, axis=0)
        along = centered @ np.linalg.eigh(centered.T @ centered)[1][:, -1]
        self.order = np.argsort(along, kind="stable")
        self.points, self.along = centered[self.order], along[self.order]
        self.given = np.asarray(points, dtype=float)[
            self.order
        ]  # centering rounds: a tie at eps would be decided by it
        self.reach, self.limit = eps * (1 + 1e-9), eps * eps
        squares = (self.points**2).sum(1)
        self.slack = np.float32(ROUNDING * max(float(squares.max()), self.limit))
        n, d = self.points.shape
        self.rows, self.columns = np.empty((n, d + 2), np.float32), np.empty((d + 2, n), np.float32)
        # memory taken once: a fresh block for every product costs more than the product
        self.block, self.near = np.empty(16 * n + BLOCK, np.float32), np.empty(16 * n + BLOCK, bool)
        self.rows[:, :d], self.rows[:, d], self.rows[:, d + 1] = self.points, squares - self.limit / 2, 1
        self.columns[:d], self.columns[d], self.columns[d + 1] = -2 * self.points.T, 1, squares - self.limit / 2

    def exactly(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Whether pairs are within eps, in double precision, summed axis by axis as scikit-learn's trees do."""
        squares = np.zeros(len(i))
        for axis in range(self.given.shape[1]):
            difference = self.given[i, axis] - self.given[j, axis]
            squares += difference * difference
        near: np.ndarray = squares <= self.limit
        return near

    def _product(self, rows: slice, columns: slice) -> np.ndarray:
        shape = rows.stop - rows.start, columns.stop - columns.start
        return np.matmul(
            self.rows[rows], self.columns[:, columns], out=self.block[: shape[0] * shape[1]].reshape(shape)
        )

    def pairs(self, most: int) -> tuple[np.ndarray, np.ndarray] | None:
        """All pairs within eps, each once; None once there are more than `most`."""
        n = len(self.points)
        lefts, rights, found, start = [], [], 0, 0
        while start < n:
            stop = min(n, start + max(16, min(256, BLOCK // (n - start))))
            end = int(np.searchsorted(self.along, self.along[stop - 1] + self.reach, side="right"))
            block = self._product(slice(start, stop), slice(start, end))
            hits = np.flatnonzero(np.less_equal(block, self.slack, out=self.near[: block.size].reshape(block.shape)))
            i, j = np.divmod(hits, end - start)
            upper = j > i
            i, j, hits = i[upper] + start, j[upper] + start, hits[upper]
            unsure = np.flatnonzero(block.ravel()[hits] >= -self.slack)
            if len(unsure):
                wrong = unsure[~self.exactly(i[unsure], j[unsure])]
                i, j = np.delete(i, wrong), np.delete(j, wrong)
            lefts.append(self.order[i])
            rights.append(self.order[j])
            found += len(i)
            if found > most:
                return None
            start = stop
        return np.concatenate(lefts), np.concatenate(rights)

    def forest(self, min_samples: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Neighbors of each point, itself included, and pairs that connect what DBSCAN connects, no more than n."""
        n = len(self.points)
        everybody = np.arange(n)
        near = [self._near(rows, everybody).sum(1) for rows in np.array_split(everybody, -(-n * n // BLOCK))]
        counts = np.concatenate(near)
        core = counts >= min_samples
        lefts, rights = [], []
        waiting = core.copy()  # core points that no tree has reached
        loose = ~core  # others that no tree has reached; the first tree takes them
        while waiting.any():
            root = int(np.argmin(np.where(waiting, self.order, n)))
            waiting[root] = False
            frontier = np.array([root])
            while len(frontier):
                reached = self._reached(frontier, np.flatnonzero(waiting | loose))
                lefts.append(np.full(len(reached), self.order[root]))
                rights.append(self.order[reached])
                frontier = reached[core[reached]]
                waiting[reached] = loose[reached] = False
        nothing = [everybody[:0]]
        counts[self.order] = counts.copy()
        return counts, (np.concatenate(nothing + lefts), np.concatenate(nothing + rights))

    def _reached(self, frontier: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Those of the others that lie within eps of any point of the frontier."""
        hit = np.zeros(len(others), dtype=bool)
        step = max(1, BLOCK // max(len(others), 1))
        for start in range(0, len(frontier), step):
            left = np.flatnonzero(~hit)
            if not len(left):
                break
            hit[left] = self._near(frontier[start : start + step], others[left]).any(0)
        return others[hit]

    def _near(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Whether each row point is within eps of each column point, (rows, columns)."""
        block = self.rows[rows] @ self.columns[:, columns]
        near: np.ndarray = block <= self.slack
        i, j = np.nonzero(near & (block >= -self.slack))
        near[i, j] = self.exactly(rows[i], columns[j])
        return near
