"""The check of the ring: planted rings fail, Gaussians of their covariance pass, small networks are not asked."""

import itertools
import sys

import numpy as np
import pytest
import torch
from planting import plants_for
from torch import nn

from cnnaudit.checks.topology.ring import FEWEST_KERNELS, LAYERS, untrained
from cnnaudit.checks.topology.ring import ring as check_ring
from cnnaudit.target import AuditTarget

pytest.importorskip("ripser", reason='persistent homology needs "cnnaudit[topology]"')


def target_of(*layers: nn.Module) -> AuditTarget:
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(2))
    images = np.random.default_rng(0).random((8, 1, 16, 16), dtype=np.float32)

    model(torch.from_numpy(images))
    return AuditTarget.from_arrays("small", model, {"validation": (images, np.arange(8) % 2)}, classes=("a", "b"))


@pytest.mark.parametrize("plant", plants_for("topology.ring"), ids=lambda plant: plant.name)
def test_a_planted_ring_fails_and_its_twin_of_the_same_covariance_passes(plant):
    (defect,), (twin,) = check_ring(plant.defect(0)), check_ring(plant.twin(0))
    assert defect.verdict == "fail" and twin.verdict == "pass"
    assert defect.check == "topology.ring[2]" and not defect.gate
    assert defect.p_value == 1 / 21 and twin.p_value > 0.05
    kinds = [item["kind"] for item in defect.evidence]
    assert kinds == [*["null_distribution"] * 3, "images", "table"]


def test_the_same_seed_gives_the_same_finding():
    first, again = check_ring(untrained(3))[0], check_ring(untrained(3))[0]
    assert (first.statistic, first.interval, first.p_value) == (again.statistic, again.interval, again.p_value)
    assert "initialization noise" in first.summary or "Gaussian" in first.summary


def test_networks_of_few_kernels_are_not_asked():
    finding = check_ring(target_of(nn.Conv2d(1, FEWEST_KERNELS - 1, 3), nn.ReLU()))
    assert finding.verdict == "not_applicable" and str(FEWEST_KERNELS - 1) in finding.summary


@pytest.mark.parametrize("size", [1, 2, (1, 7)])
def test_kernels_below_three_by_three_are_not_asked(size):
    finding = check_ring(target_of(nn.Conv2d(1, 400, size)))
    assert finding.verdict == "not_applicable" and "3 x 3" in finding.summary


def test_at_quick_four_layers_from_the_first_to_the_last_are_asked():
    channels = [1, 300, 1, 300, 1, 300, 1]
    layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(channels)]
    findings = check_ring(target_of(*layers))
    parts = [finding.check for finding in findings]
    assert len(parts) == LAYERS and parts[0] == "topology.ring[0]" and parts[-1] == "topology.ring[5]"
    assert all(finding.n == 300 for finding in findings)


def test_without_ripser_it_is_not_applicable(monkeypatch):
    monkeypatch.setitem(sys.modules, "ripser", None)
    finding = check_ring(untrained(0))
    assert finding.verdict == "not_applicable" and "cnnaudit[topology]" in finding.summary


def test_constant_kernels_are_not_applicable():
    layer = nn.Conv2d(1, 400, 3)
    nn.init.zeros_(layer.weight)
    finding = check_ring(target_of(layer))
    assert finding.verdict == "not_applicable" and "not constant" in finding.summary
