"""`units.color_blind`: gray images have no color, and the three readings beside each other."""

import numpy as np
import torch

from cnnaudit.checks.units._colored_digits import seeing
from cnnaudit.checks.units.color_blind import color_blind as check_color_blind
from cnnaudit.models import lenet
from cnnaudit.target import AuditTarget


def parts(findings):
    return {finding.part: finding for finding in findings}


def target(model, shape=(1, 28, 28), n=40):
    images = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))
    return AuditTarget.from_arrays("t", model, {"validation": (images, np.arange(n) % 2)}, classes=("a", "b"))


def test_gray_images_have_no_color():
    finding = check_color_blind(target(lenet(classes=2)))
    assert finding.verdict == "not_applicable" and finding.summary == "gray images have no color"
    plain = seeing(0)
    shown = plain.sample("validation")[0].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    labels = plain.sample("validation")[1].numpy()
    gray = AuditTarget.from_arrays("gray", plain.model, {"validation": (shown, labels)}, plain.classes)
    found = parts(check_color_blind(gray))
    assert found["response"].verdict == "not_applicable" and "no color" in found["response"].summary
    assert found["weights"].verdict == "pass"


def test_the_three_readings_stand_beside_each_other():
    found = parts(check_color_blind(seeing(0)))
    agreed = found["response"].evidence[-1]
    assert [row[0] for row in agreed["rows"]] == [
        "weights and optimized",
        "weights and response",
        "optimized and response",
        "optimized and response",
    ]
    assert "by the peaks of their channels" in found["optimized"].summary
