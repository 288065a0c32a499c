"""The check of optimized images: what its findings show, and what cannot be asked is said."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.fidelity.neuron_optimum import entrance
from cnnaudit.checks.fidelity.neuron_optimum import neuron_optimum as check_neuron_optimum
from cnnaudit.target import AuditTarget


def target(model, shape=(1, 20, 20), n=20, inside=True):
    images = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))
    return AuditTarget.from_arrays(
        "t", model, {"validation": (images, np.arange(n) % 2)}, classes=("a", "b"), inside=inside
    )


def parts(found):
    return {finding.part: finding for finding in found}


def test_defective_entrances_answer_as_the_open_one():
    images = entrance(3).split("validation").read(np.arange(20))
    for kind in ("reversed", "half"):
        assert torch.equal(entrance(3, kind).logits(images), entrance(3).logits(images))


def test_every_second_pixel_detached_is_half_of_the_kernel():
    finding = parts(check_neuron_optimum(entrance(0, "half")))["first_layer"]
    assert finding.verdict == "fail" and finding.statistic == 0
    assert 0.5 < np.median([place.statistic for place in finding.locations]) < 0.9  # the root of half of the energy


def test_findings_show_kernels_heights_and_pictures_and_repeat():
    one, two = (check_neuron_optimum(entrance(1), seed=5) for _ in range(2))
    assert [f.statistic for f in one] == [f.statistic for f in two] and one[1].evidence == two[1].evidence
    first, deeper = one
    assert [item["kind"] for item in first.evidence] == ["images", "bars"] and first.n == 6
    assert [item["kind"] for item in deeper.evidence] == ["table", "boxes", "images", "images"] and deeper.n == 12
    table = deeper.evidence[0]
    assert [row[0] for row in table["rows"]] == ["4", "logits"] and all(row[-1] is True for row in table["rows"])
    assert len(deeper.evidence[2]["images"]) == 16
    assert deeper.interval == (deeper.statistic, deeper.statistic)  # every unit was asked: nothing was sampled


def test_a_sample_of_units_has_a_binomial_interval():
    net = nn.Sequential(nn.Conv2d(1, 40, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 2)).eval()
    finding = parts(check_neuron_optimum(target(net)))["first_layer"]
    assert finding.n == 32 and finding.statistic == 1 and 0.8 < finding.interval[0] < 0.9
    assert parts(check_neuron_optimum(target(net), profile="standard"))["first_layer"].n == 40


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ((nn.Flatten(), nn.Linear(400, 2)), "has no layer with maps"),
        ((nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 2)), "no 2-d convolution"),
    ],
)
def test_a_model_without_convolutions_is_not_applicable(layers, reason):
    finding = check_neuron_optimum(target(nn.Sequential(*layers).eval()))
    assert finding.verdict == "not_applicable" and reason in finding.summary


def test_a_model_without_gradients_is_not_applicable():
    class Detached(nn.Conv2d):
        def forward(self, images):
            return super().forward(images).detach()

    net = nn.Sequential(Detached(1, 3, 3), nn.Flatten(), nn.Linear(972, 2)).eval()
    finding = check_neuron_optimum(target(net))
    assert finding.verdict == "not_applicable" and "not differentiable" in finding.summary
    assert check_neuron_optimum(target(net, inside=False)).verdict == "not_applicable"


def test_the_model_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(1296, 2))
    asked = target(net, (3, 20, 20))
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.random.get_rng_state()
    check_neuron_optimum(asked)
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
