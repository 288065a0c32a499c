"""Checks of dead, untrained and color-blind units: planted defects fail, their twins pass, and what cannot be asked."""

import numpy as np
import pytest
import torch
from planting import plants_for
from torch import nn

from cnnaudit.checks.units._color_blind_plants import seeing
from cnnaudit.checks.units.color_blind import color_blind as check_color_blind
from cnnaudit.checks.units.dead import dead as check_dead
from cnnaudit.checks.units.dead import pushed
from cnnaudit.checks.units.untrained import partly_trained
from cnnaudit.checks.units.untrained import untrained as check_untrained
from cnnaudit.models import lenet, minimum
from cnnaudit.target import AuditTarget

CHECKS = {check.id: check for check in (check_dead, check_untrained, check_color_blind)}
PLANTS = [plant for id in CHECKS for plant in plants_for(id)]


def parts(findings):
    return {finding.part: finding for finding in findings}


def target(model, shape=(1, 28, 28), n=40):
    images = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))
    return AuditTarget.from_arrays("t", model, {"validation": (images, np.arange(n) % 2)}, classes=("a", "b"))


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}[{plant.part}]: {plant.name}")
def test_the_planted_defect_fails_and_its_twin_passes(plant):
    for build, verdict in ((plant.defect, "fail"), (plant.twin, "pass")):
        assert parts(CHECKS[plant.check](build(0)))[plant.part].verdict == verdict


def test_dead_units_are_counted_with_their_bound_and_their_twin():
    finding = parts(check_dead(pushed(0, bias=-100.0)))["never"]
    assert finding.statistic == 30 / 32 and finding.interval == (30 / 32, 30 / 32) and finding.locations[0].layer == "0"
    assert "30 of 32 units of layer 0 fire at no position of the 500 images" in finding.summary
    assert "each may yet fire in up to 0.6% of others" in finding.summary and "untrained twin" in finding.summary
    assert finding.evidence[0]["rows"][0][:4] == ["0", 32, 30, 0.938]


def test_the_interval_knows_that_rare_units_may_miss_other_images():
    model = nn.Sequential(nn.Conv2d(1, 10, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(10, 2))
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[0].bias.fill_(-0.5)
    shown = torch.zeros(200, 1, 4, 4)
    shown[0] = 1  # all units fire in this image and in no other
    data = {"validation": (shown, np.arange(200) % 2)}
    found = parts(check_dead(AuditTarget.from_arrays("rare", model, data, classes=("a", "b"))))
    assert found["never"].statistic == 0 and found["never"].interval[1] == 1
    assert found["never"].verdict == "inconclusive" and found["always"].verdict == "pass"


def test_a_network_without_activation_functions_cannot_always_fire():
    found = parts(check_dead(target(nn.Sequential(nn.Conv2d(1, 4, 28), nn.Flatten(), nn.Linear(4, 2)))))
    assert found["never"].verdict == "pass" and found["always"].verdict == "not_applicable"


def test_a_layer_that_was_never_loaded_is_named():
    finding = parts(check_untrained(partly_trained(0, fresh="last")))["weights"]
    assert finding.locations[0].layer == "conv2" and finding.statistic > 0.85
    assert finding.evidence[0]["rows"][0][0] == "conv2" and finding.evidence[0]["rows"][0][-1] is True


def test_networks_of_few_weights_are_not_asked_whether_they_are_noise():
    found = parts(check_untrained(target(minimum(classes=2))))
    assert found["weights"].verdict == found["optimized"].verdict == "not_applicable"
    assert "the largest have 9 weights" in found["weights"].summary and "one convolution" in found["optimized"].summary


def test_networks_of_depthwise_and_1x1_kernels_are_judged_by_all_of_them_together():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3, groups=32), nn.ReLU(), nn.Conv2d(32, 64, 1)
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))
    finding = parts(check_untrained(target(model, (1, 9, 9))))["weights"]
    assert finding.verdict == "fail" and "128 filters of 3 layers of depthwise and 1x1 kernels" in finding.summary


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


def test_the_same_seed_gives_the_same_findings():
    for check, plain in ((check_dead, pushed(1)), (check_color_blind, seeing(1))):
        one, two = check(plain, seed=5), check(plain, seed=5)
        assert [(f.interval, f.evidence) for f in one] == [(f.interval, f.evidence) for f in two]
