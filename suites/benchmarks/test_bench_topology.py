"""Mapper and the density filter against the libraries that people use, the same points in one run, one thread.

The points are what kernels of trained networks look like: edges at random angles among noise, at variance 1.
"""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from cnnaudit.topology import density_filter, mapper

SETTINGS = {"bins": 5, "overlap": 0.1, "eps": 0.5, "min_samples": 3}


def kernels(n):
    rng = np.random.default_rng(0)
    x, y = np.meshgrid([-1, 0, 1], [-1, 0, 1])
    angle = rng.uniform(0, 2 * np.pi, n // 2)[:, None]
    edges = np.cos(angle) * x.ravel() + np.sin(angle) * y.ravel() + rng.normal(0, 0.5, (n // 2, 9))
    found = np.concatenate([edges, rng.normal(size=(n - n // 2, 9))])
    found -= found.mean(1, keepdims=True)
    return found / found.std(1, keepdims=True)


@pytest.mark.parametrize("n", [1_000, 10_000, 37_000, 100_000])
def test_mapper_against_kmapper(against, n):
    kmapper = pytest.importorskip("kmapper")
    from sklearn.cluster import DBSCAN

    points = kernels(n)
    lens = PCA(3, random_state=0).fit_transform(points)

    def theirs():
        graph = kmapper.KeplerMapper(verbose=0)
        return graph.map(lens, points, clusterer=DBSCAN(eps=0.5, min_samples=3), cover=kmapper.Cover(5, 0.1))

    ours = mapper(points, lens, **SETTINGS)
    assert [node.tolist() for node in ours.nodes] == [sorted(node) for node in theirs()["nodes"].values()]
    assert against(f"mapper/{n}/kmapper", lambda: mapper(points, lens, **SETTINGS), theirs, rounds=3).ratio > 0


@pytest.mark.parametrize("n", [10_000, 100_000, 300_000])
def test_how_mapper_scales(against, n):
    points = kernels(n)
    lens = PCA(3, random_state=0).fit_transform(points)
    few, few_lens = points[:1_000], lens[:1_000]
    cost = against(
        f"mapper/{n}/1000 points",
        lambda: mapper(points, lens, **SETTINGS),
        lambda: mapper(few, few_lens, **SETTINGS),
        rounds=3,
    )
    assert cost.ratio > 0


@pytest.mark.parametrize("peer", ["faiss", "scipy"])
def test_density_filter(against, peer):
    points = kernels(37_000)

    def scipy():
        from scipy.spatial import cKDTree

        return cKDTree(points).query(points, 101)[0][:, -1]

    def faiss():
        index = pytest.importorskip("faiss").IndexFlatL2(9)
        index.add(points.astype(np.float32))
        return np.sqrt(index.search(points.astype(np.float32), 101)[0][:, -1])

    theirs = faiss if peer == "faiss" else scipy
    assert np.allclose(density_filter(points, 100).distance, theirs(), atol=1e-2)
    assert against(f"density/37000/{peer}", lambda: density_filter(points, 100), theirs, rounds=3).ratio > 0
