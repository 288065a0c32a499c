"""The same pixels with two labels."""

import numpy as np
import pytest
from asking import make, one

from cnnaudit.checks.dataset.contradictory_labels import contradictions
from cnnaudit.core.profiles import Profile
from cnnaudit.target import AuditTarget


def test_contradictions_are_those_of_a_slow_search():
    rng = np.random.default_rng(0)
    prints, labels = rng.integers(0, 100, 300), rng.integers(0, 3, 300)
    found = contradictions(prints, labels)
    for row in range(300):
        others = {k for k in range(300) if prints[k] == prints[row] and labels[k] != labels[row]}
        assert found[row] in others if others else found[row] == -1
    assert contradictions(prints[:0], labels[:0]).tolist() == []


def test_copies_with_the_same_label_contradict_nothing():
    assert (contradictions(np.array([5, 5, 5]), np.array([1, 1, 1])) == -1).all()


def relabeled(count, n=400, side=8):
    """That many validation images are training images with the other label."""
    target = make(np.arange(n) % 2, side=side)
    train, labels = (x.numpy() for x in target.sample("train", None))
    images = np.random.default_rng(1).random((n, 1, side, side), dtype=np.float32)
    images[:count] = train[:count]
    validation = np.where(np.arange(n) < count, 1 - labels, labels)
    parts = {"train": (train, labels), "validation": (images, validation)}
    return AuditTarget.from_arrays("relabeled", target.model, parts, target.classes)


@pytest.mark.parametrize(("count", "verdict"), [(0, "pass"), (4, "pass"), (5, "fail")])
def test_both_splits_are_compared_and_counted(count, verdict):
    found = one("contradictory_labels", relabeled(count))
    assert found.statistic == 2 * count / 800
    assert found.interval == (found.statistic, found.statistic)
    assert found.verdict == verdict


def test_the_pairs_are_listed_by_name_and_by_class():
    found = one("contradictory_labels", relabeled(6))
    rows = found.evidence[1]["rows"]
    assert len(rows) == 12
    assert ["train[3] (class 1)", "validation[3] (class 0)"] in rows
    assert sum(place.statistic for place in found.locations) == 12


def test_a_split_read_in_part_gives_an_interval_that_holds_the_truth():
    target = relabeled(60, n=600, side=50)
    found = one("contradictory_labels", target, profile=Profile("quick", 500, 1000, megapixels=1))
    assert found.interval[0] < 120 / 1200 < found.interval[1]
    assert "67% of the images were read" in found.summary
