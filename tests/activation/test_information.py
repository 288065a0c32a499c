"""Activity beside information: the probe, its AUC, the resampled correlations, against slow computations."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from cnnaudit.activation.information import FOLDS, PENALTY, agreement, rank_correlation


def made(n=60, units=5, d=3, seed=0):
    """Filters that tell the class the more, the higher their number; some are active."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 3)
    features = rng.normal(size=(n, units, d))
    features[:, :, 0] += np.arange(units) * (labels == 1)[:, None]
    return features, rng.random((n, units)) < np.linspace(0.1, 0.9, units), labels


def test_information_is_the_cross_validated_auc_of_a_ridge_probe():
    features, active, labels = made()
    found = agreement(features, active, labels)
    order = np.argsort(labels, kind="stable")
    folds = np.empty(len(labels), int)
    folds[order] = np.arange(len(labels)) % FOLDS
    for k in range(3):
        for unit in range(5):
            scores = np.empty(len(labels))
            for fold in range(FOLDS):
                used, x = folds != fold, features[:, unit]
                scaled = (x - x[used].mean(0)) / x[used].std(0)
                probe = Ridge(PENALTY * used.sum(), fit_intercept=False)
                y = (labels == k).astype(float)
                probe.fit(scaled[used], y[used] - y[used].mean())
                scores[~used] = probe.predict(scaled[~used])
            assert found.information[k, unit] == pytest.approx(roc_auc_score(labels == k, scores))
    assert found.information[1].argmax() == 4


def test_correlations_are_those_of_spearman_with_the_share_of_active_images():
    features, active, labels = made()
    found = agreement(features, active, labels)
    for k in range(3):
        np.testing.assert_allclose(found.activity[k], active[labels == k].mean(0))
        assert found.correlations()[k] == pytest.approx(spearmanr(found.activity[k], found.information[k])[0])


def test_what_active_filters_carry_is_their_weighted_auc_beside_the_best_third():
    features, active, labels = made(units=7)
    found = agreement(features, active, labels)
    best = np.mean([np.sort(row)[-2:].mean() for row in found.information]) - 0.5
    assert found.best == pytest.approx(best)
    for k in range(3):
        told = sum(found.activity[k, c] * (found.information[k, c] - 0.5) for c in range(7)) / found.activity[k].sum()
        assert found.carried()[k] == pytest.approx(told / best)
    np.testing.assert_allclose(found.carried(np.arange(60)), found.carried())


def test_a_class_without_active_filters_carries_nothing():
    features, active, labels = made()
    active[labels == 0] = False
    assert agreement(features, active, labels).carried()[0] == 0


def test_constant_maps_tell_nothing_and_give_no_correlation():
    features, active, labels = made()
    features[:, 2] = 3.7
    found = agreement(features, active, labels)
    np.testing.assert_allclose(found.information[:, 2], 0.5)
    assert rank_correlation(np.ones(4), np.arange(4.0)) == 0


def test_a_resample_counts_each_image_as_often_as_it_was_drawn():
    features, active, labels = made()
    found = agreement(features, active, labels)
    rows = np.random.default_rng(1).integers(0, 60, 60)
    k, unit = 1, 4
    own, rest = rows[labels[rows] == k], rows[labels[rows] != k]
    auc = found.placements[own, k, unit].mean() + found.placements[rest, k, unit].mean() - found.information[k, unit]
    activity = np.array([active[own, c].mean() for c in range(5)])
    aucs = [
        found.placements[own, k, c].mean() + found.placements[rest, k, c].mean() - found.information[k, c]
        for c in range(5)
    ]
    assert aucs[unit] == auc
    assert np.argsort(-np.array(aucs))[0] == unit
    told = float(activity @ (np.array(aucs) - 0.5) / activity.sum())
    every = [
        [
            found.placements[rows[labels[rows] == j], j, c].mean()
            + found.placements[rows[labels[rows] != j], j, c].mean()
            - found.information[j, c]
            for c in range(5)
        ]
        for j in range(3)
    ]
    assert found.carried(rows)[k] == pytest.approx(told / (np.max(every, axis=1).mean() - 0.5))
    assert np.isnan(found.carried(np.nonzero(labels == 0)[0])).all()


def test_placements_average_to_the_auc_on_either_side():
    found = agreement(*made())
    for k in range(3):
        np.testing.assert_allclose(found.placements[found.member[:, k], k].mean(0), found.information[k])
        np.testing.assert_allclose(found.placements[~found.member[:, k], k].mean(0), found.information[k])


def test_shuffled_filters_carry_what_any_filter_does():
    found = agreement(*made(units=12))
    null = found.permuted(2_000, np.random.default_rng(0))
    assert null.mean() == pytest.approx((found.information.mean() - 0.5) / found.best, abs=0.01)


def test_too_few_images_and_the_largest_classes():
    features, active, labels = made()
    assert agreement(features[:8], active[:8], labels[:8]) is None
    few = np.where(labels == 2, np.arange(60) + 10, labels)
    assert agreement(features, active, few).classes.tolist() == [0, 1]
    some = np.where(np.arange(60) < 10, 7, labels)
    assert (
        len(agreement(features, active, some, 2).classes) == 2 and 7 not in agreement(features, active, some, 2).classes
    )
