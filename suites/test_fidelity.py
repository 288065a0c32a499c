"""May the pictures of what a network looks at be believed?"""

from __future__ import annotations

from cnnaudit.checks.fidelity import (
    check_deconvnet,
    check_deletion,
    check_integrity,
    check_lime,
    check_randomization,
)
from cnnaudit.checks.neuron_optimum import check_neuron_optimum


def test_integrity(target, audit):
    audit(check_integrity, target)


def test_deconvnet(target, audit):
    audit(check_deconvnet, target)


def test_randomization(target, audit):
    audit(check_randomization, target)


def test_deletion(target, audit):
    audit(check_deletion, target)


def test_lime(target, audit):
    audit(check_lime, target)


def test_neuron_optimum(target, audit):
    audit(check_neuron_optimum, target)
