"""Predictions of two reports are paired image by image, whatever the order of images and classes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnnaudit.core.statistics import proportion_interval
from cnnaudit.report import Report, compare
from cnnaudit.report.flips import Flips, flips

CLASSES = ("cat", "dog", "ant")


def seen(marks, labels, top1, classes=CLASSES, **target):
    n = len(marks)
    section = {
        "split": "validation",
        "of": n,
        "names": [f"{mark}.png" for mark in marks],
        "fingerprints": [str(mark) for mark in marks],
        "labels": list(map(int, labels)),
        "top1": list(map(int, top1)),
        "confidence": [0.5 + k / (10 * n) for k in range(n)],
    }
    return Report({"name": "demo", "classes": list(classes), **target}, predictions=section)


def drawn(n=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    before = np.where(rng.random(n) < 0.9, labels, (labels + 1) % 3)
    now = np.where(rng.random(n) < 0.8, labels, (labels + 2) % 3)
    return labels, before, now


def test_counts_are_those_of_a_slow_count():
    labels, before, now = drawn()
    found = flips(seen(range(200), labels, before), seen(range(200), labels, now))
    lost = sum(b == y != a for y, b, a in zip(labels, before, now))
    gained = sum(b != y == a for y, b, a in zip(labels, before, now))
    assert (found.images, len(found.flipped), found.gained) == (200, lost, gained)
    assert found.interval == proportion_interval(lost, 200)
    for k, name in enumerate(CLASSES):
        own = labels == k
        wrong, right = (own & (before == labels) & (now != labels)).sum(), (own & (before != labels) & (now == k)).sum()
        assert found.by_class[name] == (own.sum(), wrong, right)
    assert [one.now for one in found.flipped] == sorted((one.now for one in found.flipped), reverse=True)


def test_the_order_of_images_and_of_classes_does_not_matter():
    labels, before, now = drawn()
    plain = flips(seen(range(200), labels, before), seen(range(200), labels, now))
    order, classes = np.random.default_rng(1).permutation(200), ("ant", "cat", "dog")
    moved = np.array([1, 2, 0])  # where each class of CLASSES stands in `classes`
    other = seen(order, moved[labels[order]], moved[before[order]], classes)
    found = flips(other, seen(range(200), labels, now))
    assert {(one.image, one.answer) for one in found.flipped} == {(one.image, one.answer) for one in plain.flipped}
    assert (found.gained, found.by_class) == (plain.gained, plain.by_class)


def test_only_common_images_count_and_copies_count_once():
    a = seen(["x", "x", "y", "z"], [0, 0, 1, 2], [0, 0, 1, 2])
    b = seen(["x", "x", "y", "new"], [0, 0, 1, 2], [1, 1, 1, 0])
    found = flips(a, b)
    assert (found.images, found.of, [one.image for one in found.flipped]) == (2, 4, ["x.png"])


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (Report({"name": "a"}), seen("x", [0], [0]), "the older report holds no predictions"),
        (
            seen("x", [0], [0]),
            Report({"name": "b"}, predictions={"missing": "no images"}),
            "the newer report holds no predictions",
        ),
        (seen("x", [0], [0], ("cat", "dog")), seen("x", [0], [0]), "the two models have different classes"),
        (
            seen("x", [0], [0], input={"size": [28, 28]}),
            seen("y", [0], [0], input={"size": [32, 32]}),
            "input.size was [28, 28] and is [32, 32], so that the pixels differ",
        ),
        (seen("x", [0], [0]), seen("y", [0], [0]), "other data, another seed, or another profile"),
    ],
)
def test_what_cannot_be_compared_is_said(a, b, said):
    found = flips(a, b)
    assert isinstance(found, str) and said in found
    assert found in " ".join(compare(a, b).text(400).split())


@pytest.mark.parametrize(("claim", "status"), [(None, 0), (0.01, 1), (0.5, 0), ("much", 0), (7, 0)])
def test_a_claim_of_the_newer_file_decides(claim, status):
    labels, before, now = drawn()
    target = {"claims": {"negative_flips": claim}} if claim is not None else {}
    found = compare(seen(range(200), labels, before), seen(range(200), labels, now, **target))
    assert found.exit_status == status
    assert isinstance(found.flips, Flips) and found.to_json()["flips"]["breaks"] == bool(status)


def test_the_class_that_lost_is_named():
    labels = np.arange(120) % 3
    now = np.where((labels == 2) & (np.arange(120) < 60), 0, labels)
    found = flips(seen(range(120), labels, labels), seen(range(120), labels, now))
    assert "Significantly worse: ant, 20 of 40 wrong and 0 right." in found.sentence
    assert "the accuracy changed by -16.7% (" in found.sentence
    assert "Significantly" not in flips(seen(range(120), labels, labels), seen(range(120), labels, labels)).sentence


def test_hostile_names_do_not_reach_the_terminal(hostile_report, report):
    section = {**hostile_report.predictions, "top1": [0] * 4}
    other = dataclasses.replace(hostile_report, target={**hostile_report.target, "classes": ["a\x1b[31m", "b"]})
    older = dataclasses.replace(other, predictions=section)
    newer = dataclasses.replace(other, predictions={**section, "top1": [1] * 4})
    assert "\x1b" not in compare(older, newer).text()
