"""The checks of kernels: planted units fail, random ones pass, and what cannot be asked is said."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from planting import plants_for
from torch import nn

from cnnaudit.checks.units.border_aware import border_aware as check_border_aware
from cnnaudit.checks.units.border_aware import border_units
from cnnaudit.checks.units.duplicate import copied_units
from cnnaudit.checks.units.duplicate import duplicate as check_duplicate
from cnnaudit.models import lenet, minimum
from cnnaudit.target import AuditTarget

CHECKS = {check.id: check for check in (check_border_aware, check_duplicate)}
PLANTS = [plant for id in CHECKS for plant in plants_for(id)]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.check)
def test_the_planted_defect_fails_and_its_twin_passes(plant):
    for build, verdict in ((plant.defect, "fail"), (plant.twin, "pass")):
        assert CHECKS[plant.check](build(1), confidence=0.997).verdict == verdict


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


def test_copies_are_shown_in_pairs():
    finding = check_duplicate(copied_units(0, planted=True))
    assert finding.statistic == 48 / 64
    layers, pairs, pictures = finding.evidence
    assert layers["rows"][1][2] == 48 and len(pairs["rows"]) == len(pictures["images"]) == 24
    assert all({row[1], row[2]} in [{k, 47 - k} for k in range(24)] for row in pairs["rows"])
    assert len({row[4] for row in pairs["rows"]}) >= 6


def test_questions_that_make_no_sense_are_said_to():
    for check, model, reason in (
        (check_border_aware, lenet(classes=2), "could see a border: no padding"),
        (check_border_aware, minimum(classes=2), "1 unit of padded convolutions .* a share of a tenth takes 36"),
        (check_duplicate, minimum(classes=2), "two units on the same inputs"),
        (check_duplicate, lenet((4, 8), classes=2), "12 units can have a copy in their layer; the question takes 24"),
        (check_duplicate, nn.Sequential(nn.Flatten(), nn.Linear(784, 2)), "no 2-d convolution"),
    ):
        finding = check(target(model))
        assert finding.verdict == "not_applicable" and re.search(reason, finding.summary)


def test_the_same_seed_gives_the_same_finding():
    for check, build in ((check_border_aware, border_units), (check_duplicate, copied_units)):
        one, two = (check(build(2, planted=True), seed=3) for _ in range(2))
        assert one.evidence == two.evidence and one.statistic == two.statistic
