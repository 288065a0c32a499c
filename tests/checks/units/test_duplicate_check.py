"""`units.duplicate`: planted copies are shown in pairs, and what cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.units.duplicate import copied_units
from cnnaudit.checks.units.duplicate import duplicate as check_duplicate
from cnnaudit.models import lenet, minimum
from cnnaudit.target import AuditTarget


def target(model: nn.Module, channels: int = 1, size: int = 28) -> AuditTarget:
    images = torch.rand(20, channels, size, size, generator=torch.Generator().manual_seed(0))
    return AuditTarget.from_arrays("t", model.eval(), {"validation": (images, np.arange(20) % 2)}, classes=["a", "b"])


def test_copies_are_shown_in_pairs():
    finding = check_duplicate(copied_units(0, planted=True))
    assert finding.statistic == 48 / 64
    layers, pairs, pictures = finding.evidence
    assert layers["rows"][1][2] == 48 and len(pairs["rows"]) == len(pictures["images"]) == 24
    assert all({row[1], row[2]} in [{k, 47 - k} for k in range(24)] for row in pairs["rows"])
    assert len({row[4] for row in pairs["rows"]}) >= 6


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (minimum(classes=2), "two units on the same inputs"),
        (lenet((4, 8), classes=2), "12 units can have a copy in their layer; at least 24"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 2)), "no 2-d convolution"),
    ],
)
def test_what_cannot_be_judged_is_said(model, reason):
    finding = check_duplicate(target(model))
    assert finding.verdict == "not_applicable" and reason in finding.summary
