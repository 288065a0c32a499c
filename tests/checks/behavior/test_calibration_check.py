"""What the calibration of a target is, and which answers are refused."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.behavior.calibration import calibration, drawn_labels
from cnnaudit.core.errors import ModelError
from cnnaudit.core.statistics.confidence import confidence_gap
from cnnaudit.target import AuditTarget, Claims, InputSpec
from cnnaudit.target.pixels import PixelModel


class Answers(nn.Module):
    """Answers by the first pixel: that row of a table."""

    def __init__(self, rows):
        super().__init__()
        self.rows = torch.tensor(np.asarray(rows), dtype=torch.float32)

    def forward(self, images):
        return self.rows[(images[:, 0, 0, 0] * len(self.rows)).long()]


def target(rows, labels, **settings):
    images = ((np.arange(len(labels)) + 0.5) / len(labels)).reshape(-1, 1, 1, 1).astype(np.float32)
    classes = [f"class {k}" for k in range(np.shape(rows)[1])]
    model = settings.pop("model", None) or Answers(rows)
    return AuditTarget.from_arrays("answers", model, {"validation": (images, labels)}, classes, **settings)


def sure(share, right=70, n=100):
    """Two classes, told with that probability, right so many times of n."""
    rows = np.tile(np.log([share, 1 - share]), (n, 1))
    return rows, (np.arange(n) >= right).astype(int)


@pytest.mark.parametrize(
    ("share", "verdict", "words"),
    [(0.7, "pass", "agree within"), (0.97, "fail", "too sure"), (0.501, "fail", "not sure enough")],
)
def test_the_gap_is_judged_either_way(share, verdict, words):
    found = calibration(target(*sure(share, right=350, n=500)))
    assert found.verdict == verdict and words in found.summary and not found.gate
    assert found.statistic == pytest.approx(abs(share - 0.7), abs=1e-6)
    _, (low, high) = confidence_gap(np.full(500, share), np.arange(500) < 350)
    assert found.interval == pytest.approx((max(low, -high, 0), max(high, -low)), abs=1e-6)


def test_a_claim_makes_it_a_gate_with_that_bound():
    rows, labels = sure(0.8, right=350, n=500)
    assert calibration(target(rows, labels)).verdict == "pass"
    found = calibration(target(rows, labels, claims=Claims(calibrated=0.05)))
    assert found.gate and found.tolerance == 0.05 and found.verdict == "fail"


def test_errors_that_cancel_are_hinted_at():
    rows = np.concatenate([np.tile(np.log([0.9, 0.1]), (250, 1)), np.tile(np.log([0.5001, 0.4999]), (250, 1))])
    labels = np.concatenate([np.arange(250) % 10 >= 5, np.arange(250) % 10 >= 9]).astype(int)
    found = calibration(target(rows, labels))
    assert found.verdict == "pass" and found.hint.startswith("Confidences are too high in some places")


def test_the_temperature_mends_the_other_half():
    found = calibration(drawn_labels(0, 0.1))
    ((temperature, before, after, _, _),) = next(e for e in found.evidence if "temperature" in e["title"])["rows"]
    assert temperature > 3 and after < before / 2


def test_probabilities_instead_of_logits_are_refused():
    rows, labels = sure(0.8)
    found = calibration(target(np.exp(rows), labels))
    assert found.verdict == "not_applicable" and "model.outputs = 'probabilities'" in found.summary
    declared = PixelModel(Answers(np.exp(rows)), InputSpec(1, (1, 1)), outputs="probabilities")
    assert calibration(target(rows, labels, model=declared)).statistic == pytest.approx(0.1, abs=1e-5)


def test_probabilities_outside_their_range_are_refused():
    rows, labels = sure(0.8)
    declared = PixelModel(Answers(rows), InputSpec(1, (1, 1)), outputs="probabilities")
    with pytest.raises(ModelError, match=r"numbers from -1\.\d+ to -0\.\d+; set model.outputs = 'logits'"):
        calibration(target(rows, labels, model=declared))


def test_one_class_has_no_calibration():
    rows, labels = sure(0.8, right=100)
    found = calibration(target(rows, labels))
    assert found.verdict == "not_applicable" and "of class 'class 0'" in found.summary


def test_two_images_a_class_decide_nothing():
    assert calibration(target(*sure(0.8, right=2, n=4))).verdict == "inconclusive"
