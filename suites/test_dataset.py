"""Are the data fit to learn from?"""

from __future__ import annotations

from cnnaudit.checks.dataset import (
    check_border_shortcut,
    check_class_imbalance,
    check_constant_class,
    check_label_signal,
    check_leakage,
    check_metadata_shortcut,
    check_trivial_feature,
)


def test_constant_class(target, audit):
    audit(check_constant_class, target)


def test_leakage(target, audit):
    audit(check_leakage, target)


def test_trivial_feature(target, audit):
    audit(check_trivial_feature, target)


def test_border_shortcut(target, audit):
    audit(check_border_shortcut, target)


def test_metadata_shortcut(target, audit):
    audit(check_metadata_shortcut, target)


def test_class_imbalance(target, audit):
    audit(check_class_imbalance, target)


def test_label_signal(target, audit):
    audit(check_label_signal, target)
