"""Trust in maps and separation of classes, against scikit-learn and counts by hand."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness as peer

from cnnaudit.core.errors import DataError
from cnnaudit.embedding.separation import neighbor_purity, probe_hits
from cnnaudit.embedding.trust import shared_neighbors, trustworthiness

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("k", [1, 5, 12])
def test_the_mean_is_scikit_learns_index(k):
    features, points = RNG.normal(size=(60, 7)), RNG.normal(size=(60, 2))
    points[:30] = features[:30, :2]
    found = trustworthiness(features, points, k)
    assert found.shape == (60,) and found.mean() == pytest.approx(peer(features, points, n_neighbors=k))


def test_equal_images_do_not_count_themselves_as_neighbors():
    features = np.repeat(RNG.normal(size=(20, 3)), 2, axis=0)
    assert trustworthiness(features, features, 1).min() == 1


def test_too_many_neighbors_are_refused():
    with pytest.raises(DataError, match="12 neighbors need more than 24 images, got 24"):
        trustworthiness(np.zeros((24, 2)), np.zeros((24, 2)), 12)


def test_shared_neighbors_of_a_map_with_itself_and_with_chance():
    points = RNG.normal(size=(200, 2))
    assert shared_neighbors(points, 3 * points + 1).min() == 1
    assert shared_neighbors(points, RNG.normal(size=(200, 2))).mean() == pytest.approx(12 / 199, abs=0.02)


def test_purity_counts_by_hand():
    features = RNG.normal(size=(40, 4))
    labels = np.arange(40) % 3
    slow = []
    for i in range(40):
        order = sorted((np.linalg.norm(features[i] - features[j]), j) for j in range(40) if j != i)
        slow.append(np.mean([labels[j] == labels[i] for _, j in order[:6]]))
    assert np.allclose(neighbor_purity(features, labels, 6), slow)


def test_a_probe_reads_what_is_linear_and_leaves_out_small_classes():
    labels = np.array([0, 1] * 30 + [2] * 3)
    features = RNG.normal(size=(63, 5))
    features[:, 2] += 6 * (labels == 1)
    hits = probe_hits(features, labels)
    assert np.nanmean(hits) > 0.95 and np.isnan(hits[-3:]).all() and not np.isnan(hits[:60]).any()
    assert abs(np.nanmean(probe_hits(RNG.normal(size=(400, 5)), np.arange(400) % 2)) - 0.5) < 0.1
