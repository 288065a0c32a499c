"""A hidden ReLU is named, and a model without one is asked the rest."""

from __future__ import annotations

from torch import nn

from cnnaudit.checks.fidelity.integrity import integrity, rectified


def test_the_hidden_relu_is_named():
    found = integrity(rectified(0, arithmetic=True))
    assert {location.layer for location in found.locations} == {"/mul:1"}
    assert "x * (x > 0)" in integrity.body.__doc__


def test_integrity_without_a_relu_asks_the_rest(few_methods, small, classifier):
    found = integrity(small(classifier(nn.Conv2d(1, 4, 3), nn.SiLU())))
    answers = dict(found.evidence[-1]["rows"])
    assert found.verdict == "pass" and answers["gradient"] == "holds"
    assert "silu" in answers["guided rule"]
