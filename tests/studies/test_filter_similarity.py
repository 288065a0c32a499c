"""Similarity of filters: 1 for the same pattern however it is turned, chance for random ones."""

import numpy as np
import pytest

from cnnaudit.studies import filter_similarity as study
from cnnaudit.studies.study import Effort


@pytest.fixture
def filters():
    return np.random.default_rng(0).normal(size=(5, 3, 3))


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("factor", [1.0, -2.5])
def test_it_is_one_for_turned_reflected_negated_scaled_and_shifted_copies(filters, turns, flip, factor):
    copies = np.rot90(filters[:, ::-1] if flip else filters, turns, (1, 2)) * factor + 3.0
    assert np.diag(study.similarity(filters, copies)) == pytest.approx(1)


def test_it_is_the_largest_absolute_cosine(filters):
    a, b = filters[0] - filters[0].mean(), filters[1] - filters[1].mean()
    copies = [np.rot90(c, turns) for c in (b, b.T) for turns in range(4)]
    expected = max(abs((a * c).sum()) / np.linalg.norm(a) / np.linalg.norm(c) for c in copies)
    assert study.similarity(filters[:1], filters[1:2])[0, 0] == pytest.approx(expected)


def test_a_constant_filter_is_like_nothing(filters):
    assert not study.similarity(np.ones((1, 3, 3)), filters).any()


def test_an_edge_and_a_laplacian_share_nothing():
    edge = np.outer([1, 2, 1], [-1, 0, 1])[None]
    laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None]
    assert study.similarity(edge, laplacian)[0, 0] == pytest.approx(0, abs=1e-12)


def test_random_filters_have_glorots_variance_and_the_stated_chance():
    filters = study.random_filters(4000)
    assert filters.var() == pytest.approx(2 / 18, rel=0.03)
    chance = np.diag(study.similarity(filters[::2], filters[1::2]))
    assert 0.5 < chance.mean() < 0.7


def test_pairs_leave_the_same_network_out_and_intervals_hold_the_mean():
    matrix = np.full((6, 6), 0.4)
    np.fill_diagonal(matrix, 1.0)
    assert study.mean_of_pairs(matrix)[0] == pytest.approx(0.4)
    assert study.mean_of_pairs(matrix)[1] == pytest.approx((0.4, 0.4))
    assert study.mean_of_pairs(matrix, same=True)[0] == 1.0
    noisy = np.random.default_rng(1).uniform(size=(9, 9))
    mean, (low, high) = study.mean_of_pairs(noisy)
    assert mean == pytest.approx(noisy[~np.eye(9, dtype=bool)].mean())
    assert low < mean < high


@pytest.mark.parametrize("dataset", ["1.3", "2.1", "3.0", "4.0"])
def test_every_change_changes_the_images(dataset):
    from cnnaudit.data import reference

    base = reference(dataset, n_per_class=2).images
    for change in study.CHANGES:
        images = reference(dataset, n_per_class=2, **study.changed(dataset, change)).images
        assert (images.shape == base.shape) and np.array_equal(images, base) == (change in ("none", "other order")), (
            change
        )


def test_planted_filters_are_told_as_what_they_are(filters):
    def rows(dataset, change, kind, values):
        return [
            {"dataset": dataset, "change": change, "kind": kind, "seed": seed, "validation_accuracy": 0.9}
            | study._weights(value)
            for seed, value in enumerate(values)
        ]

    everything = [
        *rows("3.0", "none", "trained", filters),
        *rows("3.0", "other draw", "trained", -filters[:, ::-1]),
        *rows("random", "random", "random", study.random_filters(40)),
    ]
    said = " ".join(study.findings(everything))
    assert "another draw of the same data 1.00 (1.00 to 1.00)" in said
    dead = [{**row, "kind": "dead"} if row["change"] == "other draw" else row for row in everything]
    assert "another draw of the same data" not in " ".join(study.findings(dead))


def test_a_tiny_run_gives_a_row_for_each_network_and_other_draws_differ():
    effort = Effort(seeds=3, epochs=1, train=16, validation=4)
    base = study.run({"dataset": "1.3", "change": "none"}, effort)
    again = study.run({"dataset": "1.3", "change": "none"}, effort)
    other = study.run({"dataset": "1.3", "change": "other draw"}, effort)
    assert base == again and len(base) == 3
    assert [row["w4"] for row in base] != [row["w4"] for row in other]
    assert set().union(*base) <= set(study.FILTER_SIMILARITY.columns)
