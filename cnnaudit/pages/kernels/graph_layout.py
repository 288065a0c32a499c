"""Where the nodes of a graph stand on paper: distances along edges become distances, components lie side by side."""

from __future__ import annotations

import numpy as np

from cnnaudit.core.errors import DataError

GAP = 12.0  # between the rims of joined nodes, in the unit of the radii
ROUNDS = 60  # of stress majorization
STILL = 1e-4  # relative fall of the stress that ends it
SHAPE = 1.5  # width over height that the whole tries to have


def layout(radii: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Places (n, 2) of the nodes, from the corner at 0: the same for the same graph, no two nodes on each other.

    Each component is laid out by itself, from the metric multidimensional scaling of its shortest paths (an edge is as
    long as both radii and a gap) by majorization of the stress sum ((|x_i - x_j| - d_ij) / d_ij)^2, so a ring of nodes
    is drawn as a ring. Time and memory grow with the square of the largest component: 2,000 nodes take seconds.

    Args:
        radii: (n,), positive.
        edges: (E, 2) node numbers.

    Raises:
        DataError: a radius that is not positive, or an edge to a node that is not there.

    Source: E. Gansner, Y. Koren, S. North, Graph drawing by stress majorization, 2004.

    Example:
        >>> layout(np.ones(3), np.array([[0, 1], [1, 2]]))[:, 0].round(1).tolist()
        [1.0, 15.0, 29.0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    radii, edges = np.asarray(radii, dtype=float), np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    n = len(radii)
    if n and not radii.min() > 0:
        raise DataError(f"layout: radii must be positive, got {radii.min()}")
    if edges.size and not 0 <= edges.min() <= edges.max() < n:
        raise DataError(f"layout: edges name nodes {edges.min()} to {edges.max()}, there are {n}")
    edges = edges[edges[:, 0] != edges[:, 1]]
    lengths = radii[edges].sum(1) + GAP
    joined = coo_array((lengths, (edges[:, 0], edges[:, 1])), shape=(n, n)).tocsr()
    count, label = connected_components(joined, directed=False)
    places = np.zeros((n, 2))
    for component in range(count):
        own = np.flatnonzero(label == component)
        places[own] = _apart(_component(joined[own][:, own]), radii[own])
    return _packed(places, radii, label)


def moved_together(places: np.ndarray, radii: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Some nodes of a larger layout with the room of the others taken out, for new radii; `label`: their components.

    Example:
        >>> moved_together(np.array([[0.0, 0], [500, 0]]), np.ones(2), np.zeros(2, int))[:, 0].round().tolist()
        [1.0, 11.0]
    """
    closer = places.astype(float)
    for component in np.unique(label):
        own = np.flatnonzero(label == component)
        spread = float(np.ptp(places[own], axis=0).max(initial=0))
        if len(own) > 1 and spread > 0:
            wanted = 0.7 * float(np.sqrt(SHAPE * (4 * (radii[own] + GAP / 4) ** 2).sum()))
            closer[own] = _apart(places[own] * min(1.0, wanted / spread), radii[own])
    return _packed(closer, radii, np.unique(label, return_inverse=True)[1])


def _component(joined: object) -> np.ndarray:
    """A connected graph's places around its middle, wider than high."""
    from scipy.sparse.csgraph import shortest_path

    n: int = joined.shape[0]  # type: ignore[attr-defined]
    if n == 1:
        return np.zeros((1, 2))
    distance = shortest_path(joined, directed=False)
    places = _majorized(distance, _scaled(distance))
    places -= places.mean(0)
    places = places @ np.linalg.svd(places, full_matrices=False)[2].T  # the long axis lies flat
    return np.asarray(places * np.where(places[0] > 0, -1, 1))  # and the first node to the left


def _scaled(distance: np.ndarray) -> np.ndarray:
    """Classical multidimensional scaling to the plane; nodes that it puts in one place are told apart a little."""
    from scipy.sparse.linalg import eigsh

    n = len(distance)
    squares = distance**2
    inner = -0.5 * (squares - squares.mean(0) - squares.mean(1)[:, None] + squares.mean())
    noise = np.random.default_rng(0)
    if n < 4:
        values, vectors = np.linalg.eigh(inner)
        values, vectors = values[-2:], vectors[:, -2:]
    else:
        values, vectors = eigsh(inner, k=2, which="LA", v0=noise.standard_normal(n), tol=1e-3)
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), [0, 1]])
    spread = noise.standard_normal((n, 2)) * 1e-3 * distance[distance > 0].mean()
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)) + spread)


def _majorized(distance: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The places after majorization; each round solves one Laplacian system, factored once."""
    from scipy.linalg import cho_factor, cho_solve

    np.fill_diagonal(distance, 1)
    weights = distance**-2
    np.fill_diagonal(weights, 0)
    laplacian = -weights
    np.fill_diagonal(laplacian, weights.sum(1))
    factor = cho_factor(laplacian[1:, 1:], overwrite_a=True)
    pull, last = weights * distance, np.inf
    for _ in range(ROUNDS):
        squares = (places**2).sum(1)
        apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * places @ places.T, 1e-12))
        stress = float((weights * (apart - distance) ** 2).sum())
        if last - stress < STILL * stress:
            break
        last, ratio = stress, pull / apart
        right = ratio.sum(1)[:, None] * places - ratio @ places
        places = np.concatenate([np.zeros((1, 2)), cho_solve(factor, right[1:])])
    return places


def _apart(places: np.ndarray, radii: np.ndarray, rounds: int = 200) -> np.ndarray:
    """The places with nodes that lie on one another pushed apart."""
    from scipy.spatial import KDTree

    places = places.copy()
    for _ in range(rounds):
        pairs = KDTree(places).query_pairs(2 * radii.max() + GAP, output_type="ndarray")
        first, second = pairs[:, 0], pairs[:, 1]
        between = places[second] - places[first]
        gap = np.linalg.norm(between, axis=1)
        short = radii[first] + radii[second] + GAP / 4 - gap
        if not (short > 1e-6).any():
            break
        hit = short > 0
        first, second, push = first[hit], second[hit], (between / np.maximum(gap, 1e-9)[:, None])[hit]
        push *= 0.5 * short[hit, None] + 1e-3
        np.add.at(places, first, -push)
        np.add.at(places, second, push)
    return places


def _packed(places: np.ndarray, radii: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Components in boxes, high ones first, each where the boxes below it reach least high, then as far left."""
    groups = [np.flatnonzero(label == k) for k in range(int(label.max(initial=-1)) + 1)]
    lows = np.array([(places[own] - radii[own, None]).min(0) for own in groups]).reshape(-1, 2)
    highs = np.array([(places[own] + radii[own, None]).max(0) for own in groups]).reshape(-1, 2)
    sizes = highs - lows + (2 * GAP if len(groups) > 1 else 0)
    width = max(float(sizes[:, 0].max(initial=1)), float(np.sqrt(SHAPE * sizes.prod(1).sum())))
    step = max(min(float(sizes.min(initial=width)), width / 20), width / 2000)
    sky = np.zeros(int(np.ceil(width / step)) + 1)
    moved = places.copy()
    for k in sorted(range(len(groups)), key=lambda k: (-sizes[k, 1], -sizes[k, 0], k)):
        wide = min(int(np.ceil(sizes[k, 0] / step)), len(sky))
        tops = np.lib.stride_tricks.sliding_window_view(sky, wide).max(1)
        at = int(tops.argmin())
        moved[groups[k]] += (at * step, tops[at]) - lows[k]
        sky[at : at + wide] = tops[at] + sizes[k, 1]
    return moved
