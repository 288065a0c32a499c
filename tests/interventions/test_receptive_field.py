"""Receptive fields against what really changes: the pixels that a monotone network's values respond to."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import LayerError, run_until
from cnnaudit.interventions.receptive_field import Box, receptive_field, receptive_fields
from cnnaudit.models import lenet


def positive(model: nn.Module) -> nn.Module:
    """The model with all weights positive, in double precision: larger pixels never lower a value."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=torch.Generator().manual_seed(0)) + 0.1)
    return model.double().eval()


def slow_field(model: nn.Module, layer: str, shape: tuple[int, ...], position, unit) -> Box:
    """The box around the pixels that change the value when each alone is made very bright."""
    count = shape[1] * shape[2]
    images = torch.rand(1, *shape, dtype=torch.float64).repeat(count + 1, 1, 1, 1)
    for k in range(count):
        images[k, :, k // shape[2], k % shape[2]] = 1e6
    with torch.no_grad():
        values = run_until(model, images, layer)
    value = values[:, :, *position] if position else values
    value = value[:, unit] if unit is not None else value
    changed = (value[:-1] != value[-1]).reshape(count, -1).any(1).reshape(shape[1:])
    rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
    if not len(rows):
        return Box(0, 0, 0, 0)
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


class Residual(nn.Module):
    """A pointwise shortcut around a dilated convolution, changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(2, 2, 3, padding=3, dilation=3)
        self.skip = nn.Conv2d(2, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x), inplace=True)
        y = self.wide(x)
        y += self.skip(x)
        return y.relu_()


class Branches(nn.Module):
    """Parallel branches of different reach, joined; then cropped, flipped, shuffled and mixed in two groups."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.broad = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, (1, 5), padding=(0, 2))
        self.grouped = nn.Conv2d(4, 4, 3, groups=2, padding=1, padding_mode="reflect")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([self.narrow(x), self.broad(x)], 1)
        cropped = joined[:, :, 1:-1, 2:].flip(-1)
        n, c, h, w = cropped.shape
        return self.grouped(cropped.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w))


class Gated(nn.Module):
    """A gate that sees the whole plane."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return x * self.gate(F.adaptive_avg_pool2d(x, 1))


CASES = {
    "strided": (nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 3, 2)), "2", (1, 15, 13)),
    "asymmetric": (nn.Sequential(nn.ZeroPad2d((0, 2, 1, 0)), nn.Conv2d(1, 2, (2, 4), (1, 3))), "1", (1, 9, 11)),
    "same, even": (
        nn.Sequential(nn.Conv2d(1, 2, 4, padding="same"), nn.Conv2d(2, 1, 2, padding="same")),
        "1",
        (1, 8, 9),
    ),
    "pooled, ceil": (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, 2, ceil_mode=True)),
        "2",
        (1, 14, 11),
    ),
    "dilated pooling": (
        nn.Sequential(nn.MaxPool2d(2, 1, dilation=3), nn.Conv2d(1, 1, 2, dilation=2)),
        "1",
        (1, 12, 10),
    ),
    "residual": (Residual(), "", (1, 16, 15)),
    "branches": (Branches(), "", (2, 9, 10)),
    "depthwise": (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Conv2d(4, 4, 3, groups=4)), "1", (2, 8, 8)),
    "gated": (Gated(), "", (1, 7, 8)),
    "transposed": (
        nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.ConvTranspose2d(2, 4, (3, 2), (2, 3), (1, 0), (1, 0), groups=2)),
        "1",
        (1, 9, 11),
    ),
    "transposed, dilated": (nn.Sequential(nn.ConvTranspose2d(1, 1, 2, 2, 1, dilation=3)), "0", (1, 5, 6)),
    "adaptive": (nn.Sequential(nn.Conv2d(1, 1, 2), nn.AdaptiveAvgPool2d((2, 3))), "1", (1, 8, 9)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_position_sees_exactly_what_changes_it(name):
    model, layer, shape = CASES[name]
    positive(model)
    fields = receptive_fields(model, layer, shape)
    units, height, width = fields.edges.shape[1:]
    for row in {0, 1, height // 2, height - 1} & set(range(height)):
        for column in {0, 1, width // 2, width - 1} & set(range(width)):
            for unit in (None, 0, units - 1):
                slow = slow_field(model, layer, shape, (row, column), unit)
                assert fields.box((row, column), unit) == slow, (row, column, unit)


def test_the_gradient_of_a_positive_network_has_the_same_support():
    model = positive(nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True)))
    image = torch.rand(1, 1, 17, 19, dtype=torch.float64, requires_grad=True)
    for row, column in ((0, 0), (2, 3), (3, 4)):
        (gradient,) = torch.autograd.grad(model(image)[0, :, row, column].sum(), image)
        rows, columns = gradient[0, 0].any(1).nonzero(), gradient[0, 0].any(0).nonzero()
        box = Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
        assert receptive_field(model, "2", (1, 17, 19), (row, column)) == box


def test_closed_forms_of_lenet():
    model = lenet()
    assert receptive_field(model, "conv1", (1, 28, 28), (3, 4)) == Box(3, 4, 6, 7)
    assert receptive_field(model, "pool2", (1, 28, 28), (1, 2)) == Box(4, 8, 14, 18)
    assert receptive_field(model, "hidden", (1, 28, 28), unit=5) == Box(0, 0, 26, 26)  # the last crop is never read


def test_a_position_that_sees_only_padding_is_empty():
    model = nn.Sequential(nn.ZeroPad2d(4), nn.Conv2d(1, 1, 3))
    assert receptive_field(model, "1", (1, 6, 6), (0, 0)) == Box(0, 0, 0, 0)
    assert receptive_field(model, "1", (1, 6, 6), (0, 0)).size == (0, 0)


def test_exported_modules_and_reused_ones():
    model = positive(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)))
    exported = torch.export.export(model, (torch.rand(2, 1, 8, 8).double(),)).module()
    assert receptive_field(model, "2", (1, 8, 8), (1, 2)) == Box(1, 3, 5, 7)
    exported.batch = 2  # bound to two images, as a target's model says
    assert receptive_field(exported, "2", (1, 8, 8), (1, 2)) == Box(1, 3, 5, 7)
    twice = nn.Sequential()
    twice.add_module("a", nn.Conv2d(1, 1, 3))
    twice.add_module("b", twice.a)
    with pytest.raises(LayerError, match="called 2 times in a pass; name one: a:1"):
        receptive_field(twice, "a", (1, 8, 8), (0, 0))
    assert receptive_field(twice, "a:2", (1, 8, 8), (0, 0)) == Box(0, 0, 5, 5)


class Shifty(nn.Module):
    """Changes a part of a tensor, or sorts."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.conv = how, nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if self.how == "slice":
            x[:, :1] += x[:, 1:].roll(3, -1)
        elif self.how == "assign":
            x[:, 0] = x[:, 1].flip(-1)
        else:
            x = x.sort(-1).values
        return F.relu(x)


@pytest.mark.parametrize("how", ["slice", "assign", "sort"])
def test_what_cannot_be_followed_is_refused_and_only_where_it_matters(how):
    model = Shifty(how)
    assert receptive_field(model, "conv", (1, 8, 8), (1, 1)) == Box(1, 1, 4, 4)
    with pytest.raises(UnsupportedError, match="receptive field of layer '/relu:1' is not known"):
        receptive_field(model, "/relu:1", (1, 8, 8), (1, 1))


def test_wrong_names_positions_and_units_are_told():
    model = lenet()
    for layer, position, unit, error, text in (
        ("conv3", (0, 0), None, LayerError, "near names: conv"),
        ("conv1", (0, 26), None, UnsupportedError, r"maps of 26 x 26: give a \(row, column\) in it, got \(0, 26\)"),
        ("conv1", None, None, UnsupportedError, "maps of 26 x 26"),
        ("conv1", (0, 0), 32, UnsupportedError, r"units 0\.\.31, got 32"),
        ("hidden", (0, 0), None, UnsupportedError, "no maps"),
    ):
        with pytest.raises(error, match=text):
            receptive_field(model, layer, (1, 28, 28), position, unit)


def test_the_model_is_left_in_its_mode():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1), nn.Dropout2d()).train()
    before = model[1].running_mean.clone()
    receptive_field(model, "2", (1, 8, 8), (0, 0))
    assert model.training and model[2].training and torch.equal(before, model[1].running_mean)
    assert not model[0]._forward_hooks


def test_a_layer_with_its_channels_last_has_the_same_fields():
    class Last(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1).relu()

    conv = nn.Conv2d(1, 3, (3, 5), stride=(2, 1))
    plain = receptive_fields(nn.Sequential(conv, nn.ReLU()), "1", (1, 9, 11))
    last = receptive_fields(nn.Sequential(conv, Last()), "1/relu:1", (1, 9, 11))
    assert plain.edges.shape == (4, 3, 4, 7) and (plain.edges == last.edges).all()
