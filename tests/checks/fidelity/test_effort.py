"""What methods cost, and how many images that leaves."""

from __future__ import annotations

from cnnaudit.attribution import METHODS
from cnnaudit.checks.fidelity._effort import LEAST, affordable, effort_of, passes


def test_costs_are_counted_passes():
    assert passes("gradient", 1, (28, 28)) == 3
    assert passes("smooth_grad", 3, (32, 32)) >= 25 * 3
    assert passes("blank", 1, (28, 28)) == 1


def test_small_images_allow_every_method_and_photographs_the_cheap_ones():
    counts, reasons = affordable(METHODS, effort_of((28, 28), 500), 1, (28, 28))
    assert set(counts) == set(METHODS) and not reasons
    assert counts["gradient"] == 96 and counts["lime"] >= 40
    counts, reasons = affordable(METHODS, effort_of((224, 224), 500), 3, (224, 224))
    assert counts["gradient"] == counts["edges"] == 16
    assert "standard or deep" in reasons["integrated_gradients"]
    deep, none = affordable(METHODS, effort_of((224, 224), None), 3, (224, 224))
    assert min(deep.values()) >= LEAST and not none
