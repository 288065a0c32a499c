"""Loops against closed forms, a slow reduction of the boundary matrix, and shortest cycle bases."""

import itertools
import sys

import numpy as np
import pytest

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.topology import MapperGraph, circular_coordinates, graph_loops, loops, mapper
from cnnaudit.topology._graph_loops import loops_over_covers, stable_loop
from cnnaudit.topology.homology import landmarks

pytest.importorskip("ripser", reason='persistent homology needs "cnnaudit[topology]"')


def polygon(n: int, radius: float = 1.0, center: tuple[float, ...] = (0.0, 0.0)) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return np.array(center) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def slow_loops(points: np.ndarray) -> list[list[float]]:
    """First persistent homology over two elements, by the standard reduction of all columns of the boundary matrix."""
    n = len(points)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    simplices = [part for size in (1, 2, 3) for part in itertools.combinations(range(n), size)]
    size = {part: max((apart[a, b] for a, b in itertools.combinations(part, 2)), default=0.0) for part in simplices}
    order = sorted(simplices, key=lambda part: (size[part], len(part), part))
    place = {part: k for k, part in enumerate(order)}
    columns: dict[int, set[int]] = {}
    found = []
    for part in order:
        column = {place[side] for side in itertools.combinations(part, len(part) - 1)} if len(part) > 1 else set()
        while column and max(column) in columns:
            column ^= columns[max(column)]
        if column:
            columns[max(column)] = column
            born = order[max(column)]
            if len(born) == 2 and size[part] > size[born]:
                found.append([size[born], size[part]])
    return sorted(found)


@pytest.mark.parametrize("n", [6, 7, 20, 41])
def test_a_regular_polygon_lives_from_its_side_to_its_longest_triangle(n):
    (interval,) = loops(polygon(n)).intervals
    assert np.allclose(interval, [2 * np.sin(np.pi / n), 2 * np.sin(np.pi * -(-n // 3) / n)], atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_intervals_are_those_of_the_reduced_boundary_matrix(seed):
    points = np.random.default_rng(seed).normal(size=(16, 3))
    assert np.allclose(sorted(loops(points).intervals.tolist()), slow_loops(points), atol=1e-5)


def test_landmarks_are_each_the_farthest_point_from_those_before():
    points = np.random.default_rng(0).normal(size=(60, 4))
    chosen, radius = landmarks(points, 20, seed=3)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    for k in range(1, 20):
        assert chosen[k] == apart[:, chosen[:k]].min(1).argmax()
    assert radius == pytest.approx(apart[:, chosen].min(1).max())


def test_landmarks_never_repeat_a_point():
    chosen, radius = landmarks(np.repeat([[0.0], [1.0]], 1000, axis=0), 250)
    assert len(chosen) == 2 and radius == 0


@pytest.mark.parametrize("points, said", [(np.zeros((0, 2)), "at least one"), (np.full((4, 2), np.nan), "NaN")])
def test_bad_points_are_told(points, said):
    with pytest.raises(DataError, match=said):
        loops(points)


def test_without_ripser_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ripser", None)
    with pytest.raises(UnsupportedError, match=r"cnnaudit\[topology\]"):
        loops(polygon(9))


def test_points_in_a_row_have_no_loop_and_no_coordinate():
    line = np.arange(30.0)[:, None]
    found = loops(line, cocycles=True)
    assert not len(found.intervals) and circular_coordinates(line, found, line) is None


def test_each_loop_has_its_own_coordinate():
    large, small = polygon(60, 2.0), polygon(40, 1.0, (9.0, 0.0))
    points = np.concatenate([large, small])
    found = loops(points, 100, cocycles=True)
    assert len(found.intervals) == 2
    for which, own, n in ((0, slice(0, 60), 60), (1, slice(60, 100), 40)):
        angle = circular_coordinates(points, found, points, which)[own]
        steps = np.angle(np.exp(1j * np.diff(angle)))
        assert np.allclose(np.abs(steps), 2 * np.pi / n, rtol=0.05) and abs(np.sign(steps).sum()) == n - 1


def test_the_coordinate_follows_the_angle_of_noisy_points_that_are_no_landmarks():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 3000)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.1, (3000, 2))
    found = circular_coordinates(points, loops(points, 80, cocycles=True), points)
    assert np.isfinite(found).all() and (found >= 0).all() and (found < 2 * np.pi).all()
    likeness = max(abs(np.exp(1j * (found + sign * angle)).mean()) for sign in (1, -1))
    assert likeness > 0.99


def test_the_coordinate_runs_evenly_where_points_crowd():
    rng = np.random.default_rng(0)
    angle = np.concatenate([rng.uniform(0, 2 * np.pi, 500), rng.normal(1.0, 0.3, 2500)])
    thick = np.where(np.abs(np.angle(np.exp(1j * (angle - 1)))) < 0.8, 0.25, 0.02)[:, None]
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) + thick * rng.normal(size=(3000, 2))
    found = circular_coordinates(points, loops(points, 150, cocycles=True), points)
    known = np.isfinite(found)
    likeness = max(abs(np.exp(1j * (found + sign * angle))[known][:500].mean()) for sign in (1, -1))
    assert known.all() and likeness > 0.97  # .87 with equal weights


def test_points_away_from_the_loop_have_no_coordinate():
    circle = polygon(60)
    found = circular_coordinates(np.array([[0.0, 0.0], [9.0, 9.0], [1.0, 0.0]]), loops(circle, cocycles=True), circle)
    assert np.isnan(found[1]) and np.isfinite(found[2])


def graph_of(edges: list[tuple[int, int]], nodes: int) -> MapperGraph:
    pairs = np.array(sorted(edges)).reshape(-1, 2)
    return MapperGraph([np.array([k]) for k in range(nodes)], pairs, nodes)


@pytest.mark.parametrize("n, longest", [(3, 0), (4, 6), (6, 6), (7, 9), (12, 12), (31, 33)])
def test_the_longest_loop_of_a_circle_of_nodes(n, longest):
    found = graph_loops(graph_of([tuple(sorted((k, (k + 1) % n))) for k in range(n)], n))
    assert (found.betti, found.components, found.longest) == (1, 1, longest)


@pytest.mark.parametrize("seed", range(6))
def test_the_longest_loop_is_that_of_a_shortest_cycle_basis(seed):
    networkx = pytest.importorskip("networkx")
    graph = networkx.gnm_random_graph(24, 22 + 2 * seed, seed=seed)
    found = graph_loops(graph_of([tuple(sorted(edge)) for edge in graph.edges], 24))
    basis = [len(cycle) for cycle in networkx.minimum_cycle_basis(graph)]
    assert found.betti == len(basis) and found.components == networkx.number_connected_components(graph)
    longest = max(basis, default=0)
    assert found.longest == (3 * -(-longest // 3) if longest > 3 else 0)


def test_an_empty_graph_has_no_loop():
    noise = mapper(np.random.default_rng(0).normal(size=(50, 9)), np.arange(50.0)[:, None], eps=1e-3)
    assert graph_loops(noise).betti == graph_loops(noise).longest == 0
    assert stable_loop([]) == 0


def test_a_circle_keeps_its_loop_over_the_covers_and_a_disc_has_none():
    circle = polygon(600)
    rng = np.random.default_rng(0)
    disc = np.sqrt(rng.random((4000, 1))) * polygon(4000)[rng.permutation(4000)]
    assert stable_loop(loops_over_covers(circle, circle, eps=0.1)) >= 12
    assert stable_loop(loops_over_covers(disc, disc, eps=0.2)) <= 6
