"""The check of averaged kernels: planted defects fail, clean twins pass, windows are what the units see."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.checks.fidelity._unit_patterns import averaging_layers, unit_patterns
from cnnaudit.checks.units.sign_agreement import edge_units
from cnnaudit.checks.units.sign_agreement import sign_agreement as check_sign_agreement
from cnnaudit.target import AuditTarget


def target(model, shape=(1, 20, 20), n=20):
    images = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))
    return AuditTarget.from_arrays("t", model.eval(), {"validation": (images, np.arange(n) % 2)}, classes=("a", "b"))


def test_the_defect_has_the_logits_of_its_twin():
    images = edge_units(3).split("validation").read(np.arange(20))
    twin, defect = edge_units(3).logits(images), edge_units(3, shuffled=True).logits(images)
    assert torch.allclose(twin, defect, atol=1e-4)


def test_findings_show_the_layers_and_repeat():
    one, two = (check_sign_agreement(edge_units(1), seed=5) for _ in range(2))
    assert [f.statistic for f in one] == [f.statistic for f in two] and one[1].evidence == two[1].evidence
    assert [f.check for f in one] == ["units.sign_agreement[top_images]", "units.sign_agreement[optimized]"]
    kinds = [item["kind"] for item in one[0].evidence]
    assert kinds == ["table", "null_distribution", "images"] and one[0].n == 36
    assert one[0].evidence[0]["rows"][0][:3] == ["2", 48, 36]
    assert abs(np.mean(one[0].evidence[1]["null"]) - 0.5) < 0.02


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)),
        nn.Sequential(
            nn.Conv2d(1, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
        ),
        nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)),
    ],
    ids=["one channel", "depthwise", "three kernels"],
)
def test_where_nothing_is_averaged_it_is_not_applicable(model):
    finding = check_sign_agreement(target(model))
    assert finding.verdict == "not_applicable" and "a unit with one kernel is that kernel" in finding.summary


class Strided(nn.Module):
    """A strided, dilated convolution in two groups behind a `pad`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1)
        self.second = nn.Conv2d(4, 6, 3, stride=2, dilation=2, padding=1, groups=2)

    def forward(self, images):
        return self.second(functional.pad(self.first(images).relu(), (2, 1, 2, 1))).amax((2, 3))


def test_windows_are_the_mean_input_under_the_strongest_position():
    torch.manual_seed(0)
    model, images = Strided().eval(), torch.rand(12, 1, 11, 11)
    (layer,) = averaging_layers(model, images[:1])
    found = unit_patterns(model, images, layer, np.array([0, 5]), (1, 11, 11))
    with torch.no_grad():
        entered = functional.pad(model.first(images).relu(), (3, 2, 3, 2))  # the pad's and the convolution's own
        maps = model.second(entered[:, :, 1:-1, 1:-1])
    for k, unit in enumerate([0, 5]):
        group = entered[:, 2 * (unit // 3) : 2 * (unit // 3) + 2].mean(1)
        windows = []
        for image in maps[:, unit].amax((1, 2)).argsort(descending=True)[:9]:
            row, column = divmod(int(maps[image, unit].argmax()), maps.shape[3])
            window = group[image, 2 * row : 2 * row + 5 : 2, 2 * column : 2 * column + 5 : 2]
            windows.append((window - window.mean()) / (window - window.mean()).norm())
        assert np.allclose(found.top[k], torch.stack(windows).mean(0), atol=1e-5)


def test_the_model_and_the_random_state_are_left_as_they_were():
    built = edge_units(0)
    before, state = {k: v.clone() for k, v in built.model.state_dict().items()}, torch.random.get_rng_state()
    check_sign_agreement(built)
    assert all(torch.equal(before[k], v) for k, v in built.model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


class Detached(nn.Module):
    def forward(self, images):
        return images.detach()


def test_a_model_without_gradients_is_not_applicable():
    layers = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    finding = check_sign_agreement(target(nn.Sequential(Detached(), *layers)))
    assert finding.verdict == "not_applicable" and "not differentiable" in finding.summary
