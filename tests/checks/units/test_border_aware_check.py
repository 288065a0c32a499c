"""`units.border_aware`: planted units and what they respond to, and what cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.units.border_aware import border_aware as check_border_aware
from cnnaudit.checks.units.border_aware import border_units
from cnnaudit.models import lenet, minimum
from cnnaudit.target import AuditTarget


def target(model: nn.Module, channels: int = 1, size: int = 28) -> AuditTarget:
    images = torch.rand(20, channels, size, size, generator=torch.Generator().manual_seed(0))
    return AuditTarget.from_arrays("t", model.eval(), {"validation": (images, np.arange(20) % 2)}, classes=["a", "b"])


def test_the_units_found_are_the_planted_ones_with_what_they_answer():
    finding = check_border_aware(border_units(0, planted=True))
    assert finding.statistic == 24 / 64 and finding.n_unit == "units"
    assert [(place.layer, place.statistic) for place in finding.locations] == [("2", 0.5)]
    layers, answers, pictures, null = finding.evidence
    assert layers["rows"][1][:5] == ["2", 48, 0, 24, 24]
    assert len(answers["rows"]) == len(pictures["images"]) == 24
    assert {(row[0], row[1]) for row in answers["rows"]} == {("2", unit) for unit in range(24)}
    assert all(row[-1] and row[4] > 2 * row[5] and row[6] < row[4] / 2 for row in answers["rows"])
    sides = {row[1]: row[2] for row in answers["rows"]}
    assert [sides[unit] for unit in range(4)] == ["top", "left", "bottom", "right"]  # turned counterclockwise
    assert null["observed"] > max(null["null"])


def test_units_whose_kernels_differ_but_that_noise_does_not_silence_are_not_counted():
    """The same kernels with their signs turned answer everywhere but at the border."""
    found = border_units(0, planted=True)
    with torch.no_grad():
        found.model[2].weight[:24] *= -1
        found.model[2].bias[:24] = 5
    finding = check_border_aware(found)
    assert finding.statistic == 0 and "the rows or columns of 24 differ by .5 or more" in finding.summary


def test_layers_that_were_not_asked_are_counted_by_reason():
    small = [nn.Conv2d(1, 8, 1), nn.Conv2d(8, 40, 3, padding=1), nn.ReLU(), nn.Conv2d(40, 4, 3), nn.MaxPool2d(13)]
    model = nn.Sequential(*small, nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(16, 2))
    finding = check_border_aware(target(model))
    assert finding.n == 40
    assert finding.evidence[-1]["rows"] == [
        ["kernels of 1x1", 1],
        ["no padding", 1],
        ["too few weights in a line, or a map that is all border", 1],
    ]


@pytest.mark.parametrize(
    ("model", "reason"),
    [(lenet(classes=2), "could see a border: no padding"), (minimum(classes=2), "a share of a tenth takes 36")],
)
def test_what_cannot_be_judged_is_said(model, reason):
    finding = check_border_aware(target(model))
    assert finding.verdict == "not_applicable" and reason in finding.summary
