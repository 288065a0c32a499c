"""k-means and the rules for the number of clusters, on data whose clusters are known."""

import numpy as np
import pytest

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.embedding.clusters import cluster, comparable
from cnnaudit.embedding.elbow import RULES, chord_distance, elbow


def blobs(k: int, spread: float = 0.1, n: int = 40) -> np.ndarray:
    """k round clusters, all equally far from one another."""
    rng = np.random.default_rng(k)
    return np.concatenate([rng.normal(center, spread, (n, k)) for center in 5 * np.eye(k)])


@pytest.mark.parametrize("k", [3, 4, 6])
def test_every_rule_finds_clusters_that_stand_apart(k):
    found = elbow(blobs(k))
    assert found.chosen == dict.fromkeys(RULES, k)
    assert list(found.scores) == list(found.chosen) == list(RULES)
    assert found.words == f"The rules that find a number of clusters agree on {k} ({', '.join(RULES)})."


def test_the_gap_finds_one_cluster_in_data_without_any():
    points = np.random.default_rng(0).uniform(size=(200, 2))
    assert elbow(points).chosen["gap"] == 1


def test_the_words_say_that_the_rules_disagree():
    noise = elbow(np.random.default_rng(1).normal(size=(150, 4)))
    assert len(set(noise.chosen.values())) > 1
    assert noise.words.startswith("The rules disagree: ")
    for rule, k in noise.chosen.items():
        assert rule in noise.words and (k is None or str(k) in noise.words)


def test_the_chord_by_hand():
    ks, inertia = np.arange(1, 6), np.array([100.0, 60.0, 20.0, 10.0, 0.0])
    assert chord_distance(ks, inertia) == pytest.approx([0, 0.15, 0.3, 0.15, 0])
    assert chord_distance(ks, np.zeros(5)) == pytest.approx(np.zeros(5))  # nothing to explain: no elbow


def test_the_inertia_is_the_sum_of_squared_distances_and_falls():
    points = blobs(3)
    found = cluster(points, 3)
    by_hand = sum(((points[found.labels == k] - center) ** 2).sum() for k, center in enumerate(found.centers))
    assert found.inertia == pytest.approx(by_hand)
    assert (np.diff(elbow(points).inertia) < 0).all()


def test_clusters_are_numbered_by_size():
    points = np.concatenate([np.zeros((5, 1)), np.full((20, 1), 9.0), np.full((10, 1), 4.0)])
    assert np.bincount(cluster(points + np.linspace(0, 0.1, 35)[:, None], 3).labels).tolist() == [20, 10, 5]


def test_constant_features_are_one_cluster_and_no_elbow():
    found = cluster(np.ones((10, 2)), 3)
    assert len(found.centers) == 1 and set(found.labels) == {0} and found.inertia == 0
    with pytest.raises(UnsupportedError, match="10 images have 1 different"):
        elbow(np.ones((10, 2)))


def test_more_clusters_than_images_are_refused():
    with pytest.raises(UnsupportedError, match="2 images cannot be put into 3 clusters"):
        cluster(np.zeros((2, 1)), 3)


def test_few_features_stay_and_many_are_standardized_and_projected():
    rng = np.random.default_rng(0)
    few, many = rng.normal(size=(90, 64)), rng.normal(size=(90, 300)) * 10.0 ** rng.integers(-3, 3, 300)
    assert comparable(few) is not None and np.array_equal(comparable(few), few)
    many[:, 7] = 3.0
    projected = comparable(many)
    assert projected.shape == (90, 50)
    standard = np.delete(many, 7, 1)
    standard = (standard - standard.mean(0)) / standard.std(0)
    values = np.linalg.eigvalsh(standard.T @ standard)[::-1][:50]
    assert (projected**2).sum(0) == pytest.approx(values)
    assert comparable(np.ones((5, 100))).shape == (5, 1)


def test_the_same_seed_gives_the_same_answer():
    points = np.random.default_rng(1).normal(size=(100, 3))
    first, second = elbow(points, seed=4), elbow(points, seed=4)
    assert np.array_equal(first.inertia, second.inertia) and first.chosen == second.chosen
