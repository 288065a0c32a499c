"""Graphs on paper: rings look like rings, no two nodes lie on one another, components are apart."""

import numpy as np
import pytest

from cnnaudit.core.errors import DataError
from cnnaudit.pages.kernels.graph_layout import layout, moved_together


def ring(n):
    return np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1)


def gaps(places, radii):
    """Distances between the rims of all pairs."""
    apart = np.linalg.norm(places[:, None] - places, axis=2) - radii[:, None] - radii
    return apart[np.triu_indices(len(places), 1)]


def test_a_ring_is_drawn_as_a_ring_and_its_edges_have_one_length():
    places = layout(np.ones(24), ring(24))
    from_middle = np.linalg.norm(places - places.mean(0), axis=1)
    assert np.ptp(from_middle) < 0.02 * from_middle.mean()
    edges = np.linalg.norm(places[ring(24)[:, 0]] - places[ring(24)[:, 1]], axis=1)
    assert np.ptp(edges) < 0.02 * edges.mean()


def test_a_chain_is_a_straight_line_whose_steps_leave_room_for_the_radii():
    radii = np.array([1.0, 5, 2, 8])
    places = layout(radii, np.array([[0, 1], [1, 2], [2, 3]]))
    assert np.allclose(np.diff(places[:, 0]), [18, 19, 22], rtol=0.01)
    assert np.ptp(places[:, 1] - places[:, 1].mean()) < 0.5


@pytest.mark.parametrize("seed", [0, 1])
def test_nodes_of_any_graph_lie_apart_and_on_the_paper(seed):
    rng = np.random.default_rng(seed)
    radii, edges = rng.uniform(2, 20, 150), rng.integers(0, 150, (160, 2))
    places = layout(radii, edges)
    assert gaps(places, radii).min() > 0 and (places - radii[:, None]).min() > -1e-9
    assert np.array_equal(places, layout(radii, edges))


def test_leaves_of_a_star_and_twins_are_told_apart():
    star = np.stack([np.zeros(20, int), np.arange(1, 21)], axis=1)
    assert gaps(layout(np.full(21, 3.0), star), np.full(21, 3.0)).min() > 0


def test_no_node_one_node_and_no_edge():
    assert layout(np.empty(0), np.empty((0, 2))).shape == (0, 2)
    assert layout(np.ones(1), np.empty((0, 2))).tolist() == [[1, 1]]
    assert gaps(layout(np.full(50, 2.0), np.empty((0, 2))), np.full(50, 2.0)).min() > 0


def test_nodes_moved_together_keep_their_shape():
    places, radii = layout(np.ones(60), ring(60)), np.full(12, 2.0)
    closer = moved_together(places[::5], radii, np.zeros(12, int))
    from_middle = np.linalg.norm(closer - closer.mean(0), axis=1)
    assert np.ptp(from_middle) < 0.2 * from_middle.mean() < np.linalg.norm(places - places.mean(0), axis=1).mean()
    assert gaps(closer, radii).min() > 0


def test_wrong_input_is_told():
    with pytest.raises(DataError, match="positive"):
        layout(np.array([1.0, 0]), np.empty((0, 2)))
    with pytest.raises(DataError, match="nodes 0 to 2, there are 2"):
        layout(np.ones(2), np.array([[0, 2]]))
