"""Groups are all tested: a planted site never passes, and a clean one is rarely accused."""

from collections import Counter

import numpy as np
import pytest
from torch import nn

from cnnaudit.checks.behavior._groups import bounded, groups
from cnnaudit.checks.behavior.worst_group import site_accuracies, worst_group
from cnnaudit.checks.context import verdict
from cnnaudit.core.statistics import gate_confidence, generator, proportion_interval
from cnnaudit.target import AuditTarget


def test_metadata_of_the_training_images_alone_does_not_help():
    labels = np.arange(40) % 2
    images = np.zeros((40, 1, 4, 4), np.float32)
    splits = {"train": (images, labels), "validation": (images, labels)}
    metadata = {"train": {"site": labels}}
    target = AuditTarget.from_arrays(
        "made", nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), splits, ("a", "b"), metadata
    )
    found = worst_group(target)
    assert found.verdict == "not_applicable" and "validation images have no metadata" in found.summary


def test_a_column_that_tells_no_images_apart_is_not_asked(make):
    found = worst_group(make(np.arange(40) % 2, metadata={"site": np.array(["a"] * 40)}))
    assert found.verdict == "not_applicable" and "no column of the metadata (site)" in found.summary


def test_groups_that_are_too_small_are_named_and_nothing_passes(make):
    labels, site = np.arange(400) % 2, np.where(np.arange(400) < 12, "small", np.arange(400) % 4 // 2 + 1)
    found = worst_group(make(labels, metadata={"site": site}), confidence=gate_confidence(16))
    assert found.verdict == "inconclusive" and found.needed_n is None  # the target has no more than 400 images
    assert "1 of 7 groups are undecided" in found.summary.replace("is undecided", "are undecided")
    assert "site = small, 12 images of about 29 needed" in found.summary


def test_the_worst_group_is_named_with_its_numbers(make):
    labels, site = np.arange(500) % 2, np.array(["north", "south"])[np.arange(500) // 2 % 2]
    wrong = (site == "south") & (np.arange(500) % 8 < 4)
    target = make(labels, np.where(wrong, 1 - labels, labels), metadata={"site": site})
    found = worst_group(target, confidence=0.997)
    assert found.verdict == "fail" and found.statistic == pytest.approx(0.5, abs=0.02)
    assert "site = south" in found.summary and "1.000 is expected from the other images" in found.summary


def verdicts(accuracies, runs, images=500, confidence=0.95, tolerance=0.2):
    """How often each verdict is given on sites of those accuracies, all images of one class."""
    rng, found = generator("sites", *accuracies), Counter()
    for _ in range(runs):
        site = rng.integers(len(accuracies), size=images)
        right = rng.random(images) < np.array(accuracies)[site]
        rows = bounded(groups(right, np.zeros(images, int), {"site": site.astype(str)}, ("a",)), tolerance, confidence)
        found[verdict((max(r.low for r in rows), max(r.high for r in rows)), tolerance, "at_most")] += 1
    return found


def test_a_bad_site_among_eight_never_passes():
    found = verdicts([0.85] * 7 + [0.35], runs=500)
    assert found["pass"] == 0 and found["fail"] >= 400


def test_sites_without_a_gap_are_rarely_accused():
    assert proportion_interval(verdicts([0.85] * 8, runs=400)["fail"], 400)[0] <= 0.025


def test_a_gap_at_the_tolerance_is_judged_wrongly_at_most_as_often_as_the_confidence_says():
    found = verdicts([0.9, 0.9, 0.7], runs=400, images=400)
    assert max(found["pass"], found["fail"]) <= 0.05 * 400


def test_the_check_judges_planted_sites():
    found = [worst_group(site_accuracies(seed, [0.85] * 7 + [0.35]), confidence=0.95) for seed in range(5)]
    assert {finding.verdict for finding in found} <= {"fail", "inconclusive"}


def test_two_large_sites_without_a_gap_pass():
    assert worst_group(site_accuracies(0, [0.9, 0.9]), confidence=gate_confidence(16)).verdict == "pass"
