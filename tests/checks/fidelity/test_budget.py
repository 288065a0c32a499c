"""What methods cost, and how many images that leaves."""

from __future__ import annotations

from cnnaudit.attribution import METHODS
from cnnaudit.checks.fidelity._budget import FIRST, LEAST, LOOKS, affordable, effort_of, passes


def test_costs_are_counted_passes():
    assert passes("gradient", 1, (28, 28)) == 3
    assert passes("smooth_grad", 3, (32, 32)) >= 25 * 3
    assert passes("blank", 1, (28, 28)) == 1


def test_small_images_allow_every_method_and_photographs_the_cheap_ones():
    counts, reasons = affordable(METHODS, effort_of((28, 28), 500), 1, (28, 28))
    assert set(counts) == set(METHODS) and not reasons
    assert counts["gradient"] == 96 and counts["lime"] >= 40
    counts, reasons = affordable(METHODS, effort_of((224, 224), 500), 3, (224, 224))
    assert counts == dict.fromkeys(FIRST, LOOKS[-1])
    assert "not asked" in reasons["lime"] and "--profile standard" in reasons["lime"]
    counts, reasons = affordable(METHODS, effort_of((224, 224), 2000), 3, (224, 224))
    assert {"gradient", "grad_cam", "guided_backpropagation", "deeplift"} <= set(counts)
    assert "standard or deep" in reasons["lime"]
    deep, none = affordable(METHODS, effort_of((224, 224), None), 3, (224, 224))
    assert min(deep.values()) >= LEAST and not none
