"""The check of the ring: beyond every null, constant kernels, and networks that are too small."""

import itertools
import sys

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.topology.ring import FEWEST_KERNELS, LAYERS, ring_of_edges, untrained
from cnnaudit.checks.topology.ring import ring as check_ring
from cnnaudit.target import AuditTarget
from cnnaudit.topology import Ring

pytest.importorskip("ripser", reason='persistent homology needs "cnnaudit[topology]"')


def target_of(*layers: nn.Module) -> AuditTarget:
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(2))
    images = np.random.default_rng(0).random((8, 1, 16, 16), dtype=np.float32)

    model(torch.from_numpy(images))
    return AuditTarget.from_arrays("small", model, {"validation": (images, np.arange(8) % 2)}, classes=("a", "b"))


def ring_of(lifetime: float, **null: list[float]) -> Ring:
    nulls = {name: np.array(values) for name, values in null.items()}
    lifetimes = np.full(3, lifetime)
    return Ring(400, 0, lifetimes, 0.0, lifetime, 0.0, np.empty((0, 2)), nulls, None, np.arange(9), [], {})


@pytest.mark.parametrize("order", [("low", "high"), ("high", "low")])
def test_a_ring_is_one_beyond_every_null(order):
    """The nearest null decides, in whatever order they are."""
    values = {"low": [0.1] * 19, "high": [0.6] * 9 + [0.9] * 10}
    found = ring_of(0.8, **{name: values[name] for name in order})
    assert found.p_values == pytest.approx({"low": 1 / 20, "high": 11 / 20})
    assert found.p_value == pytest.approx(11 / 20)
    assert found.nearest == "high" and found.excess == pytest.approx((0.8 - 0.9) / 3**0.5)


def test_the_finding_is_of_the_nearest_null():
    (defect,) = check_ring(ring_of_edges(0, "bent"))
    assert defect.check == "topology.ring[2]" and not defect.gate and defect.p_value == 1 / 21
    assert [item["kind"] for item in defect.evidence] == [*["null_distribution"] * 3, "images", "table"]
    assert "initialization noise" in defect.summary or "Gaussian" in defect.summary or "Student" in defect.summary


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


@pytest.mark.parametrize("scale", [0.0, 1.0, -3e-20])
def test_constant_kernels_are_not_applicable(scale):
    """Also where weights differ in their last bit, as after training with a large decay."""
    layer = nn.Conv2d(1, 400, 3)
    last_bit = torch.randint(0, 2, layer.weight.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer.weight.copy_(scale * (1 + torch.finfo(torch.float32).eps * last_bit))
    finding = check_ring(target_of(layer))
    assert finding.verdict == "not_applicable" and "not constant" in finding.summary


def test_constant_kernels_do_not_count():
    layer = nn.Conv2d(1, 400, 3)
    nn.init.constant_(layer.weight[: 400 - FEWEST_KERNELS + 1], 0.1)
    finding = check_ring(target_of(layer))
    assert finding.verdict == "not_applicable" and f"the largest has {FEWEST_KERNELS - 1}" in finding.summary
