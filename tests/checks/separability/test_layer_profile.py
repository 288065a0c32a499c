"""Separation over the layers: its plant, and the statistic against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from cnnaudit.checks.separability._small_networks import digits_target
from cnnaudit.checks.separability.layer_profile import layer_profile
from cnnaudit.embedding.layer_values import layer_values
from cnnaudit.target import AuditTarget


def test_the_statistic_is_the_difference_of_two_silhouettes():
    asked = digits_target(0, trained=False)
    found = layer_profile(asked)
    images, labels = asked.sample("validation", 500)
    order = np.argsort(labels.numpy(), kind="stable")
    rows = np.sort(order[np.linspace(0, len(labels) - 1, 300).round().astype(int)])
    last = layer_values(asked.model, images[rows], ["hidden_relu"])["hidden_relu"]
    table = found.evidence[0]["rows"]
    assert float(table[-1][1].split()[0]) == pytest.approx(silhouette_score(last, labels.numpy()[rows]), abs=1e-3)
    assert found.statistic == pytest.approx(float(table[-1][1].split()[0]) - float(table[0][1].split()[0]), abs=2e-3)
    assert found.verdict == "fail" and table[0][0] == "relu1" and not found.gate


def test_one_class_has_nothing_to_separate():
    digits = digits_target(0, trained=False)
    images, _ = digits.sample("validation", 40)
    data = {"validation": (images, np.zeros(len(images), dtype=int))}
    found = layer_profile(AuditTarget.from_arrays("one class", digits.model, data, digits.classes))
    assert found.verdict == "not_applicable" and "one class" in found.summary
