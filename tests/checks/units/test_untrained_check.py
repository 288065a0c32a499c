"""`units.untrained`: the layer that was never loaded, rough images of trained networks, and what cannot be judged."""

import re

import numpy as np
import torch
from torch import nn

from cnnaudit.checks.units.untrained import partly_trained
from cnnaudit.checks.units.untrained import untrained as check_untrained
from cnnaudit.models import minimum
from cnnaudit.target import AuditTarget


def parts(findings):
    return {finding.part: finding for finding in findings}


def target(model, shape=(1, 28, 28), n=40):
    images = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))
    return AuditTarget.from_arrays("t", model, {"validation": (images, np.arange(n) % 2)}, classes=("a", "b"))


def test_a_layer_that_was_never_loaded_is_named():
    finding = parts(check_untrained(partly_trained(0, fresh="last")))["weights"]
    assert finding.locations[0].layer == "conv2" and finding.statistic > 0.8
    assert finding.evidence[0]["rows"][0][0] == "conv2" and finding.evidence[0]["rows"][0][-1] is True


def sharp(seed: int, trained: bool) -> AuditTarget:
    """Kernels of checkerboards, whose optima are rougher than noise; or the noise they began with."""
    generator = torch.Generator().manual_seed(seed)
    layers = nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3)
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))
    checkers = 1.0 - 2 * ((torch.arange(3)[:, None] + torch.arange(3)) % 2)
    with torch.no_grad():
        for layer in (model[0], model[2], model[4]):
            scale = torch.randn(layer.weight.shape[:2], generator=generator)[..., None, None]
            noise = torch.randn(layer.weight.shape, generator=generator)
            layer.weight.copy_((scale * checkers + 0.1 * noise if trained else noise) / layer.weight[0].numel() ** 0.5)
    return target(model, (1, 24, 24))


def test_rough_optimized_images_accuse_no_network_whose_weights_show_training():
    finding = parts(check_untrained(sharp(0, trained=True)))["optimized"]
    assert finding.verdict == "pass" and finding.statistic == 0
    assert (
        "are as rough as noise" in finding.summary
        and "The weights show that the network is trained: only " in finding.summary
    )
    rough = re.match(r"The optimized images of (\d+) of 64 units", finding.summary)
    assert rough is not None and int(rough[1]) > 0.8 * 64  # by themselves they would fail
    finding = parts(check_untrained(sharp(0, trained=False)))["optimized"]
    assert finding.verdict == "fail" and "are noise" in finding.summary


def test_networks_of_few_weights_are_not_asked_whether_they_are_noise():
    found = parts(check_untrained(target(minimum(classes=2))))
    assert found["weights"].verdict == found["optimized"].verdict == "not_applicable"
    assert "the largest have 9 weights" in found["weights"].summary and "one convolution" in found["optimized"].summary


def test_where_no_weights_can_be_tested_rough_images_accuse_nobody():
    layers = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    found = parts(check_untrained(target(nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 2)))))
    assert found["optimized"].verdict == "not_applicable" and "no layer has weights" in found["optimized"].summary


def test_networks_of_depthwise_and_1x1_kernels_are_judged_by_all_of_them_together():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3, groups=32), nn.ReLU(), nn.Conv2d(32, 64, 1)
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))
    finding = parts(check_untrained(target(model, (1, 9, 9))))["weights"]
    assert finding.verdict == "fail" and "128 filters of 3 layers of depthwise and 1x1 kernels" in finding.summary
