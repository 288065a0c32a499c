"""What the deconvnet's check refuses, and why."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.fidelity.deconvnet import chained, deconvnet
from cnnaudit.target import AuditTarget

NOT_ASKED = [
    ([nn.Conv2d(1, 2, 3)], "no ReLU"),
    ([nn.Conv2d(1, 2, 3), nn.SiLU()], "silu"),
    ([nn.Flatten(), nn.Linear(144, 4), nn.ReLU()], "answers with maps"),
]


@pytest.mark.parametrize("layers, reason", NOT_ASKED)
def test_what_cannot_be_asked_says_why(layers, reason, small, classifier):
    found = deconvnet(small(classifier(*layers)))
    assert found.verdict == "not_applicable" and reason in found.summary


def test_empty_images_have_no_evidence_to_stand_over():
    split = chained(0).split("validation")
    images = torch.full_like(split.read(np.arange(12)), 0.5)
    target = AuditTarget.from_arrays(
        "empty", chained(0).model, {"validation": (images, split.labels[:12])}, "0123456789"
    )
    found = next(f for f in deconvnet(target) if f.part == "evidence")
    assert found.verdict == "not_applicable" and "background" in found.summary
