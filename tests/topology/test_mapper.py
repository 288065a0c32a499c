"""The cover, the clusters and the nerve against their definitions, and the whole graph against KeplerMapper's."""

import itertools
import tracemalloc

import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from sklearn.decomposition import PCA

from cnnaudit.core.errors import DataError
from cnnaudit.topology import mapper
from cnnaudit.topology._mapper import cover
from cnnaudit.topology.dbscan import dbscan


def kernels(n: int, scale: str, seed: int = 0) -> np.ndarray:
    """Noisy edges at random angles among noise, 3x3, at variance 1 or norm 1: sparse and crowded clouds."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid([-1, 0, 1], [-1, 0, 1])
    angle = rng.uniform(0, 2 * np.pi, n // 2)[:, None]
    edges = np.cos(angle) * x.ravel() + np.sin(angle) * y.ravel() + rng.normal(0, 0.15, (n // 2, 9))
    found = np.concatenate([edges, rng.normal(size=(n - n // 2, 9))])
    found -= found.mean(1, keepdims=True)
    return found / (found.std(1) if scale == "variance" else np.linalg.norm(found, axis=1))[:, None]


def slow_cover(lens: np.ndarray, bins: int, overlap: float) -> list[list[int]]:
    """Every box of the definition in turn, its points found by comparing all of them."""
    low, high = lens.min(0), lens.max(0)
    width = (high - low) / bins
    radius = width / (2 * (1 - overlap))
    boxes = []
    for place in itertools.product(range(bins), repeat=lens.shape[1]):
        center = low + width * (np.array(place) + 0.5)
        inside = (np.abs(lens - center) <= radius + 1e-12).all(1)
        if inside.any():
            boxes.append(np.flatnonzero(inside).tolist())
    return boxes


@pytest.mark.parametrize("bins, overlap", [(1, 0.1), (2, 0.0), (5, 0.1), (4, 0.6), (3, 0.9)])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_cover_is_that_of_the_definition(bins, overlap, axes):
    lens = np.random.default_rng(1).normal(size=(80, axes))
    assert [box.tolist() for box in cover(lens, bins, overlap)] == slow_cover(lens, bins, overlap)


def test_a_constant_lens_is_one_box_for_each_interval():
    assert [box.tolist() for box in cover(np.zeros((3, 1)), 2, 0.1)] == [[0, 1, 2]] * 2


@pytest.mark.parametrize("eps", [0.3, 0.6, 1.5, 9.0])
@pytest.mark.parametrize("min_samples", [1, 2, 3, 8])
@pytest.mark.parametrize("most", [48, 0])
def test_clusters_are_those_of_scikit_learn(monkeypatch, eps, min_samples, most):
    monkeypatch.setattr("cnnaudit.topology.dbscan.DENSE", most)  # 0: every group by its forest
    rng = np.random.default_rng(int(eps * 10) + min_samples)
    points = np.concatenate([rng.normal(center, 0.4, (60, 3)) for center in (0, 2, 4)])[rng.permutation(180)]
    group = np.sort(rng.permutation(180)[:150])
    labels = DBSCAN(eps=eps, min_samples=min_samples).fit_predict(points[group])
    expected = [group[labels == k].tolist() for k in range(labels.max() + 1)]
    assert [cluster.tolist() for cluster in dbscan(points, [group], eps, min_samples)] == expected


@pytest.mark.parametrize("most", [48, 0])
def test_points_exactly_eps_apart_are_neighbors(monkeypatch, most):
    monkeypatch.setattr("cnnaudit.topology.dbscan.DENSE", most)
    grid = np.array(list(itertools.product(range(6), repeat=2))) + 1000.0
    (cluster,) = dbscan(grid, [np.arange(36)], eps=1.0, min_samples=5)
    assert len(cluster) == 32  # the four corners have two neighbors, and no core point beside them
    assert dbscan(grid, [np.arange(36)], eps=1.0 - 1e-9, min_samples=2) == []


@pytest.mark.parametrize("most", [48, 0])
@pytest.mark.parametrize("first", ["left", "right"])
def test_a_point_between_two_clusters_joins_the_first(monkeypatch, most, first):
    monkeypatch.setattr("cnnaudit.topology.dbscan.DENSE", most)
    line = np.array([0.0, 0.1, 0.2, 0.3, 1.25, 2.1, 2.2, 2.3, 2.4])[:: 1 if first == "left" else -1, None]
    clusters = dbscan(line, [np.arange(9)], eps=1.0, min_samples=5)
    assert [cluster.tolist() for cluster in clusters] == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    "n, scale, bins, overlap, eps",
    [
        (300, "variance", 5, 0.1, 0.5),
        (4000, "variance", 5, 0.1, 0.5),
        (2000, "variance", 10, 0.3, 1.0),
        (1500, "variance", 3, 0.5, 2.0),
        (2000, "norm", 5, 0.1, 0.5),
        (1500, "norm", 7, 0.4, 0.2),
    ],
)
def test_the_graph_is_that_of_keplermapper(n, scale, bins, overlap, eps):
    kmapper = pytest.importorskip("kmapper")
    points = kernels(n, scale)
    lens = PCA(3, random_state=0).fit_transform(points)
    theirs = kmapper.KeplerMapper(verbose=0).map(
        lens, points, clusterer=DBSCAN(eps=eps, min_samples=3), cover=kmapper.Cover(bins, overlap)
    )
    graph = mapper(points, lens, bins, overlap, eps, 3)
    assert [node.tolist() for node in graph.nodes] == [sorted(node) for node in theirs["nodes"].values()]
    number = {name: k for k, name in enumerate(theirs["nodes"])}
    edges = sorted((number[a], number[b]) for a, ends in theirs["links"].items() for b in ends)
    assert [tuple(edge) for edge in graph.edges.tolist()] == edges
    assert graph.nodes


def test_all_noise_is_an_empty_graph():
    graph = mapper(np.random.default_rng(0).normal(size=(50, 9)), np.arange(50.0)[:, None], eps=1e-3)
    assert graph.nodes == [] and graph.edges.shape == (0, 2) and graph.points == 50


def test_duplicates_by_the_thousand_are_one_node_for_each_box():
    points = np.repeat([[0.0, 0.0], [1.0, 1.0]], 3000, axis=0)
    graph = mapper(points, points, bins=2, overlap=0.1, eps=0.1)
    assert [len(node) for node in graph.nodes] == [3000, 3000]


def test_a_constant_lens_clusters_all_points_in_every_box():
    points = np.random.default_rng(0).normal(0, 0.1, (60, 9))
    graph = mapper(points, np.zeros((60, 3)), bins=2, overlap=0.1, eps=2.0)
    assert [len(node) for node in graph.nodes] == [60] * 8 and len(graph.edges) == 28


def test_boxes_without_points_have_no_nodes():
    points = np.concatenate([np.zeros((20, 2)), np.full((20, 2), 9.0)])
    graph = mapper(points, points, bins=9, overlap=0.3, eps=0.5)
    assert [len(node) for node in graph.nodes] == [20, 20] and not len(graph.edges)


def test_a_single_point_is_noise_or_a_node():
    one = np.zeros((1, 9))
    assert mapper(one, one[:, :3], bins=1, min_samples=3).nodes == []
    assert [node.tolist() for node in mapper(one, one[:, :3], bins=1, min_samples=1).nodes] == [[0]]


@pytest.mark.parametrize(
    "points, lens, settings, said",
    [
        (np.zeros((3, 2)), np.zeros((4, 1)), {}, "points"),
        (np.full((3, 2), np.nan), np.zeros((3, 1)), {}, "NaN"),
        (np.zeros((3, 2)), np.full((3, 1), np.nan), {}, "NaN"),
        (np.zeros((3, 2)), np.zeros((3, 1)), {"bins": 0}, "bins"),
        (np.zeros((3, 2)), np.zeros((3, 1)), {"overlap": 1.0}, "overlap"),
        (np.zeros((3, 2)), np.zeros((3, 1)), {"eps": 0.0}, "eps"),
        (np.zeros((0, 2)), np.zeros((0, 1)), {}, "at least one point"),
    ],
)
def test_bad_input_is_told(points, lens, settings, said):
    with pytest.raises(DataError, match=said):
        mapper(points, lens, **settings)


def test_a_hundred_thousand_kernels_take_less_than_100_megabytes():
    points = kernels(100_000, "variance")
    lens = points[:, :3].copy()
    tracemalloc.start()
    try:
        graph = mapper(points, lens)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert graph.nodes and peak < 100e6


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("dense", [0, 48])
def test_ties_at_eps_are_those_of_scikit_learn(monkeypatch, seed, dense):
    monkeypatch.setattr("cnnaudit.topology.dbscan.DENSE", dense)
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 5, (rng.integers(20, 120), rng.integers(1, 12))) * (1.0 if seed % 2 else 0.1)
    eps, least = (np.sqrt(2) if seed % 2 else 0.2), int(rng.integers(1, 6))
    labels = DBSCAN(eps=eps, min_samples=least).fit_predict(points)
    expected = [np.flatnonzero(labels == k).tolist() for k in range(labels.max() + 1)]
    assert [c.tolist() for c in dbscan(points, [np.arange(len(points))], eps, least)] == expected


def test_keplermapper_draws_the_same_dense_graph_with_every_setting():
    pytest.importorskip("kmapper")
    from cnnaudit.topology import MapperSettings, dense_graph

    cloud = kernels(400, 1.0)
    cloud = cloud / np.linalg.norm(cloud, axis=1, keepdims=True)
    for bins, overlap, eps, samples, crop in ((5, 0.1, 0.5, 3, 0.3), (3, 0.3, 0.7, 2, 0.6)):
        ours, theirs = (
            dense_graph(cloud, settings=MapperSettings(bins, overlap, eps, samples, crop, by))
            for by in ("cnnaudit", "kmapper")
        )
        assert [node.tolist() for node in ours.graph.nodes] == [node.tolist() for node in theirs.graph.nodes]
        assert np.array_equal(ours.graph.edges, theirs.graph.edges) and len(ours.rows) == round(crop * 400)
        assert ours.published == theirs.published
