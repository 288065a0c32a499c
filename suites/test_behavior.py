"""Does the model answer as it promises: rightly, steadily, and alike for everybody?"""

from cnnaudit.checks.behavior import (
    check_claimed_accuracy,
    check_collapsed_classes,
    check_determinism,
    check_invariance,
    check_single_pixel,
    check_worst_group,
)


def test_single_pixel(target, audit):
    audit(check_single_pixel, target)


def test_invariance(target, audit):
    audit(check_invariance, target)


def test_determinism(target, audit):
    audit(check_determinism, target)


def test_collapsed_classes(target, audit):
    audit(check_collapsed_classes, target)


def test_claimed_accuracy(target, audit):
    audit(check_claimed_accuracy, target)


def test_worst_group(target, audit):
    audit(check_worst_group, target)
