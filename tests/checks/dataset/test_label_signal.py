"""The probe whose predictions are linear in the labels."""

import numpy as np
import pytest
from asking import make, one
from scipy.spatial.distance import pdist
from sklearn.kernel_ridge import KernelRidge

from cnnaudit.checks.dataset.label_signal import ask_probe, cross_validated_smoother, permuted_scores, probe_predictions
from cnnaudit.core.statistics.balanced import balanced_score


def test_the_smoother_is_kernel_ridge_regression_fold_by_fold():
    rng = np.random.default_rng(0)
    features, targets, folds = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), np.arange(40) % 5
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    gamma = 1 / np.median(pdist(standard, "sqeuclidean"))
    predicted = cross_validated_smoother(features, folds) @ targets
    for fold in range(5):
        used, held = folds != fold, folds == fold
        center = targets[used].mean(axis=0)
        model = KernelRidge(alpha=0.3, kernel="rbf", gamma=gamma).fit(standard[used], targets[used] - center)
        np.testing.assert_allclose(predicted[held], center + model.predict(standard[held]), rtol=1e-8)


def test_constant_features_predict_without_an_error():
    smoother = cross_validated_smoother(np.ones((10, 3)), np.arange(10) % 5)
    np.testing.assert_allclose(smoother.sum(axis=1), 1)


def test_permuted_scores_are_those_of_the_probe_on_permuted_labels():
    rng = np.random.default_rng(1)
    labels = np.sort(rng.integers(0, 3, 60))
    smoother = cross_validated_smoother(rng.normal(size=(60, 4)), np.arange(60) % 5)
    found = permuted_scores(smoother, labels, 3, 20, np.random.default_rng(7))
    again = np.random.default_rng(7)
    expected = []
    for _ in range(20):
        shuffled = again.permutation(labels)
        expected.append(balanced_score(probe_predictions(smoother, shuffled, 3), shuffled))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_rare_class_is_not_drowned():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], [380, 20])
    features = rng.normal(size=(400, 2)) + 2.5 * labels[:, None]
    probe = ask_probe(features, labels, 50, rng)
    assert balanced_score(probe.predicted, probe.labels) > 0.8


@pytest.mark.parametrize("labels", [np.zeros(20, dtype=int), np.repeat([0, 1], [20, 4]), np.arange(20)])
def test_without_two_classes_of_five_images_there_is_no_probe(labels):
    assert ask_probe(np.random.default_rng(0).random((len(labels), 2)), labels, 10, np.random.default_rng(0)) is None


def test_a_constant_bright_feature_says_nothing():
    rng = np.random.default_rng(0)
    features, folds = rng.random((500, 6)).astype(np.float32), np.arange(500) % 5
    constant = np.full((500, 1), 123.4567, dtype=np.float32)
    assert constant.std() > 1e-6  # rounding alone
    smoother = cross_validated_smoother(np.hstack([features, constant]), folds)
    np.testing.assert_allclose(smoother, cross_validated_smoother(features, folds))


def test_where_the_probe_is_too_simple_the_model_shows_the_signal():
    found = one("label_signal", make(np.arange(500) % 10, side=32))
    assert found.verdict == "pass"
    assert found.p_value > 0.001


def test_without_a_model_to_ask_the_probe_alone_decides():
    labels = np.arange(500) % 10
    images = np.random.default_rng(1).random((500, 1, 12, 12), dtype=np.float32) / 2
    images[np.arange(500), 0, labels + 1, 3:9] = 1
    found = one("label_signal", make(labels, splits=("train",), images=images))
    assert found.verdict == "pass"
    assert found.p_value < 0.002


def test_classes_that_are_too_small_are_named_and_nothing_passes():
    from cnnaudit.checks.dataset._clean_targets import DIGITS, digit_splits, fitted_target
    from cnnaudit.checks.dataset.label_signal import label_signal

    splits = {}
    for name, (images, labels) in digit_splits(0).items():
        kept = np.sort(np.concatenate([np.flatnonzero(labels != 7), np.flatnonzero(labels == 7)[:3]]))
        splits[name] = (images[kept], labels[kept])
    found = label_signal(fitted_target("digits", splits, DIGITS))
    assert found.verdict == "inconclusive" and found.needed_n is None
    assert found.summary.endswith("Not judged, with fewer than 5 images: '7' (3).")
