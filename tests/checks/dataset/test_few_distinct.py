"""How many images of a class differ."""

import numpy as np
import pytest
from asking import make, one

from cnnaudit.checks.dataset.few_distinct import distinct_counts
from cnnaudit.core.profiles import Profile


def test_counts_are_those_of_a_set():
    rng = np.random.default_rng(0)
    prints, labels = rng.integers(0, 40, 200), rng.integers(0, 3, 200)
    classes, n, distinct = distinct_counts(prints, labels)
    assert classes.tolist() == [0, 1, 2]
    for k in classes:
        assert n[k] == sum(labels == k)
        assert distinct[k] == len({int(value) for value, label in zip(prints, labels) if label == k})


def repeated(copies, n=1200, side=50):
    """Two classes, the second one of distinct images and the first of images that occur so many times."""
    images = np.random.default_rng(0).random((n, 1, side, side), dtype=np.float32)
    first = np.arange(0, n, 2)
    images[first] = images[first[np.arange(len(first)) // copies * copies]]
    return make(np.arange(n) % 2, images=images, splits=("train",))


@pytest.mark.parametrize(("copies", "verdict"), [(1, "pass"), (2, "pass"), (3, "fail")])
def test_a_split_read_whole_is_a_count(copies, verdict):
    found = one("few_distinct", repeated(copies, n=120, side=8))
    assert found.interval == (found.statistic, found.statistic) == (1 / copies, 1 / copies)
    assert found.verdict == verdict
    assert copies == 1 or f"Of the 60 training images of class 'class 0' {60 // copies} are distinct" in found.summary


@pytest.mark.parametrize("copies", [2, 6, 60])
def test_the_interval_of_a_split_read_in_part_holds_the_truth(copies):
    found = one("few_distinct", repeated(copies), profile=Profile("quick", 500, 1000, megapixels=1))
    low, high = found.interval
    assert low <= 1 / copies <= high
    assert "33% of the images were read" in found.summary


def test_the_image_repeated_most_is_shown():
    found = one("few_distinct", repeated(30, n=120, side=8))
    assert found.evidence[1]["images"][0]["caption"].endswith("(class 0): 30 times")
    assert found.locations[0].class_name == "class 0"
