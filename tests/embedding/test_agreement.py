"""The adjusted Rand index against its definition by pairs, and against scikit-learn."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cnnaudit.embedding.agreement import adjusted_rand, adjusted_rand_within


def by_pairs(first, second):
    """Hubert and Arabie by counting every pair of images."""
    pairs = list(combinations(range(len(first)), 2))
    same = [(first[i] == first[j], second[i] == second[j]) for i, j in pairs]
    both, one, other = sum(a and b for a, b in same), sum(a for a, _ in same), sum(b for _, b in same)
    expected = one * other / len(pairs)
    return (both - expected) / ((one + other) / 2 - expected)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_published_index(seed):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 4, 40)
    second = np.where(rng.random(40) < 0.5, first, rng.integers(0, 3, 40))
    assert adjusted_rand(first, second) == pytest.approx(by_pairs(first, second))
    assert adjusted_rand(first, second) == pytest.approx(adjusted_rand_score(first, second))
    assert adjusted_rand(first, second) == adjusted_rand(second, first)


def test_it_is_0_at_chance_on_average():
    rng = np.random.default_rng(0)
    values = [adjusted_rand(rng.integers(0, 3, 300), rng.integers(0, 6, 300)) for _ in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(300)


def test_no_information_is_0():
    assert adjusted_rand(np.zeros(5, int), np.zeros(5, int)) == 0
    assert adjusted_rand(np.zeros(5, int), np.arange(5)) == 0
    assert adjusted_rand(np.zeros(1, int), np.zeros(1, int)) == 0


def test_what_the_parts_explain_does_not_count():
    parts = np.repeat([0, 1], 300)
    labels = np.tile(np.arange(3), 200)
    clusters = parts * 3 + np.random.default_rng(0).integers(0, 3, 600)  # knows the part, nothing of the class
    assert adjusted_rand(parts * 3 + labels, clusters) > 0.2
    assert abs(adjusted_rand_within(parts, labels, clusters)) < 0.02
    assert adjusted_rand_within(parts, labels, parts * 3 + labels) == 1


def test_parts_weigh_by_their_images():
    rng = np.random.default_rng(1)
    parts = np.repeat([0, 1], [30, 90])
    first, second = rng.integers(0, 2, 120), rng.integers(0, 2, 120)
    second[:30] = first[:30]
    expected = (30 * 1 + 90 * adjusted_rand_score(first[30:], second[30:])) / 120
    assert adjusted_rand_within(parts, first, second) == pytest.approx(expected)
