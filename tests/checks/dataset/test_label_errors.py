"""The share of wrong labels."""

from dataclasses import replace

import numpy as np
import pytest
from asking import make, one

from cnnaudit.checks.dataset._clean_targets import DIGITS, digit_splits, fitted_target
from cnnaudit.checks.dataset._contradictions import contradictions, held_out_probabilities, wrong_share
from cnnaudit.checks.dataset._features import kernel, looks
from cnnaudit.checks.dataset.label_errors import exchange, exchanged, one_class, uniform


def digits(relabel=None, splits=("train", "validation"), n=500, classes=10):
    """Few digits, relabeled in those splits: the target, and which labels are wrong."""
    parts, wrong = digit_splits(0), {}
    for split, (images, labels) in parts.items():
        rows = np.flatnonzero(labels < classes)[:n]
        given = labels[rows]
        if relabel and split in splits:
            given = relabel(given, np.random.default_rng(len(split)))
        parts[split], wrong[split] = (images[rows], given), given != labels[rows]
    return fitted_target("digits", parts, DIGITS[:classes]), np.concatenate([wrong["train"], wrong["validation"]])


def test_the_probe_is_that_of_scikit_learn():
    from sklearn.kernel_ridge import KernelRidge

    rng = np.random.default_rng(0)
    features, labels, folds = rng.normal(size=(60, 5)), rng.integers(0, 3, 60), np.repeat([0, 1], [35, 25])
    similar = kernel([features], np.zeros(60))
    found = held_out_probabilities(similar, labels, folds, 3)
    for fold in (0, 1):
        held, used = folds == fold, folds != fold
        targets = np.eye(3)[labels[used]]
        ridge = KernelRidge(alpha=0.3, kernel="precomputed").fit(similar[np.ix_(used, used)], targets - targets.mean(0))
        scores = np.maximum(ridge.predict(similar[np.ix_(held, used)]) + targets.mean(0), 1e-3)
        np.testing.assert_allclose(found[held], scores / scores.sum(1, keepdims=True), atol=1e-8)


def test_the_kernel_is_the_mean_over_kinds_of_features():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 3)), np.ones((20, 2))
    split = np.zeros(20)
    standard = (a - a.mean(0)) / a.std(0)
    squared = ((standard[:, None] - standard[None]) ** 2).sum(2)
    expected = (np.exp(-squared / np.median(squared)) + 1) / 2  # what never varies makes all images alike
    np.testing.assert_allclose(kernel([a, b], split), expected, atol=1e-8)


@pytest.mark.parametrize(("share", "error"), [(0.1, 0.05), (0.2, 0.1), (0.3, 0.2), (0.0, 0.3), (1.0, 0.0)])
def test_the_estimate_is_the_share_where_the_probe_errs_as_assumed(share, error):
    """A probe wrong on e of all and e^2 of its surest images contradicts s = p + (1 - p) e^2 and c = p + (1 - p) e."""
    n = 1_000_000
    surest, everywhere = share + (1 - share) * error**2, share + (1 - share) * error
    value, low, high = wrong_share(round(n * surest), n, everywhere, 0.95)
    assert low <= value <= high
    assert high >= surest - 1e-6
    assert value <= share + 1e-6  # the impurity is at least the probe's error, so that the estimate never exaggerates
    assert value >= share - everywhere**2


def test_the_surest_quarter_is_taken_of_each_split_and_class():
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.8, 0.2], [0.1, 0.9], [0.55, 0.45]])
    found = contradictions(probabilities, np.array([0, 1, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 0, 1]))
    assert found.surest.tolist() == [False, True, False, False, True, True]
    assert found.ranked().tolist() == [1, 5]
    np.testing.assert_allclose(found.doubt[[1, 5]], [0.8, 0.1])


def test_one_label_in_five_is_found_and_the_first_of_the_list_are_wrong():
    target, wrong = digits(lambda labels, rng: uniform(labels, rng, 0.2))
    found = one("label_errors", target)
    assert found.verdict == "fail"
    assert found.interval[0] < wrong.mean() < found.interval[1]
    (table,) = (item for item in found.evidence if item.get("file") == "suspects.csv")
    names = [f"{split}[{k}]" for split in ("train", "validation") for k in range(500)]
    marked = {name for name, bad in zip(names, wrong) if bad}
    first = [row[1].partition(" ")[0] for row in table["rows"][:50]]
    assert sum(name in marked for name in first) >= 45


def test_a_class_that_is_half_mislabeled_is_named():
    target, _ = digits(lambda labels, rng: one_class(labels, rng, 0.4), classes=5)
    found = one("label_errors", target)
    assert found.verdict == "fail"
    assert found.locations[0].class_name == "3"
    assert "look like '3'" in found.summary and "'2'" in found.summary


def test_two_exchanged_classes_are_named():
    target, _ = digits(exchange, splits=("validation",))
    found = one("label_errors", target)
    assert found.verdict == "fail"
    assert "'2' with '3'" in found.hint
    clean, _ = digits()
    clean_found = one("label_errors", clean)
    assert (clean_found.verdict, clean_found.hint) == ("pass", "")


def test_exchanged_needs_both_directions():
    labels = np.array([1] * 40 + [1] * 40)
    probabilities = np.repeat([[0.9, 0.1], [0.1, 0.9]], 40, axis=0)
    split = np.zeros(80)
    assert exchanged(contradictions(probabilities, labels, split), split) == []
    labels = np.array([1] * 40 + [0] * 40)
    assert exchanged(contradictions(probabilities, labels, split), split) == [(0, 1)]


def test_one_split_alone_is_asked_in_folds():
    target, wrong = digits(lambda labels, rng: uniform(labels, rng, 0.2))
    alone = replace(target, splits={"validation": target.splits["validation"]}, _cache={})
    found = one("label_errors", alone)
    assert found.n == 500
    assert found.interval[0] < wrong[500:].mean() < found.interval[1]


def test_a_black_box_is_judged_by_random_filters():
    target, _ = digits(lambda labels, rng: uniform(labels, rng, 0.4), n=300)
    images = target.split("validation").read(np.arange(4))
    assert len(looks(target, images)) == 2
    black = replace(target, inside=False, inside_reason="hidden", _cache={})
    assert len(looks(black, images)) == 1
    assert "by random filters" in one("label_errors", black).summary


def test_a_probe_that_knows_nothing_accuses_nobody():
    """Random pixels: the probe is at chance."""
    found = one("label_errors", make(np.arange(300) % 3))
    assert found.verdict == "inconclusive"
    assert found.interval[0] < 0.05


def test_constant_images_accuse_nobody():
    images = np.full((60, 1, 12, 12), 0.5, np.float32)
    target = fitted_target("gray", dict.fromkeys(("train", "validation"), (images, np.arange(60) % 2)), ("a", "b"))
    assert one("label_errors", target).verdict == "inconclusive"


def test_small_classes_are_named_and_leave_the_verdict_open():
    labels = np.concatenate([np.arange(200) % 2, [2, 2]])
    rng = np.random.default_rng(0)
    images = (labels[:, None, None, None] / 4 + rng.uniform(0, 0.1, (202, 1, 12, 12))).astype(np.float32)
    images[:, :, ::2] *= 1 - labels[:, None, None, None] / 4
    target = fitted_target("three", dict.fromkeys(("train", "validation"), (images, labels)), ("a", "b", "c"))
    found = one("label_errors", target)
    assert found.verdict == "inconclusive"
    assert "'c'" in found.summary


@pytest.mark.parametrize("labels", [np.repeat([0, 1], 2), np.zeros(50, int), np.arange(1000)])
def test_too_few_images_are_refused_with_the_reason(labels):
    found = one("label_errors", make(labels, classes=max(2, int(labels.max()) + 1), side=4))
    assert found.verdict == "not_applicable"
    assert "at least 5 images" in found.summary


def test_the_ranking_is_as_good_as_cleanlab_s():
    """On the same held-out probabilities."""
    rank = pytest.importorskip("cleanlab.rank")
    from sklearn.metrics import roc_auc_score

    target, wrong = digits(lambda labels, rng: uniform(labels, rng, 0.2))
    parts = [target.sample(split, None) for split in ("train", "validation")]
    features = [np.concatenate(kinds) for kinds in zip(*(looks(target, images) for images, _ in parts))]
    labels = np.concatenate([of.numpy() for _, of in parts])
    split = np.repeat([0, 1], 500)
    probabilities = held_out_probabilities(kernel(features, split), labels, split, 10)
    ours = contradictions(probabilities, labels, split).doubt
    theirs = -rank.get_label_quality_scores(labels, probabilities, method="normalized_margin")
    assert roc_auc_score(wrong, ours) == pytest.approx(roc_auc_score(wrong, theirs), abs=0.002)
    assert roc_auc_score(wrong, ours) > 0.98
