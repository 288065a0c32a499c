"""DeepLIFT against networks worked out by hand, a slow backward pass of multipliers, and completeness."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small import STYLES, Small, feature_map, pixels, small
from torch import nn

from cnnaudit.attribution import deeplift, gradient_times_input
from cnnaudit.core.errors import DataError, UnsupportedError


class Sum(nn.Module):
    """act(w . x + b) as the only logit."""

    def __init__(self, act: Callable[[torch.Tensor], torch.Tensor], weights: list[float], bias: float = 0.0) -> None:
        super().__init__()
        self.act, self.bias = act, bias
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x.flatten(1) @ self.weights[:, None] + self.bias)


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def test_the_example_of_the_paper_where_gradients_see_nothing() -> None:
    """y = 1 - relu(1 - i1 - i2): flat at i1 = i2 = 1, and each input still explains half of the rise."""

    class Saturated(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 1 - F.relu(1 - x.flatten(1).sum(1, keepdim=True))

    x = row(1, 1)
    with pytest.warns(RuntimeWarning, match="zero everywhere"):
        assert not gradient_times_input(Saturated(), x, 0).any()
    assert deeplift(Saturated(), x, 0).flatten().tolist() == [0.5, 0.5]


def test_nets_worked_out_by_hand() -> None:
    # relu(2 a - b - 1): 3 at (3, 2), 0 at 0, where its input is -1; multiplier 3 / 4
    assert deeplift(Sum(F.relu, [2, -1], -1), row(3, 2), 0).flatten().tolist() == [4.5, -1.5]
    # from the reference (1, 3), of input -2: 3 / 5 of 2 * 2 and of -1 * -1
    found = deeplift(Sum(F.relu, [2, -1], -1), row(3, 2), 0, baseline=row(1, 3))
    torch.testing.assert_close(found.flatten(), torch.tensor([2.4, 0.6], dtype=torch.float64))
    # sigmoid(a + b) from 1/2 to sigmoid(3)
    rise = float(torch.sigmoid(torch.tensor(3.0, dtype=torch.float64))) - 0.5
    assert deeplift(Sum(torch.sigmoid, [1, 1]), row(1, 2), 0).flatten().tolist() == pytest.approx(
        [rise / 3, 2 * rise / 3]
    )
    # a cancelled difference leaves the derivative, here 1
    assert deeplift(Sum(torch.tanh, [1, -1]), row(2, 2), 0).flatten().tolist() == [2, -2]


def test_max_pooling_gives_the_difference_to_the_larger_maximum() -> None:
    class Pooled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.max_pool2d(x, (1, 3)).flatten(1)

    # 5 against 4: the place of the 5 rose by 5, of which the window shows 1
    assert deeplift(Pooled(), row(1, 5, 2), 0, baseline=row(4, 0, 0)).flatten().tolist() == [0, 1, 0]
    # 2 against 4: the place of the 4 fell by 3, of which the window shows 2
    assert deeplift(Pooled(), row(1, 2, 0), 0, baseline=row(4, 0, 0)).flatten().tolist() == [-2, 0, 0]


def slow(net: Small, x: torch.Tensor, start: torch.Tensor, index: int) -> torch.Tensor:
    """Multipliers sent back through the network of `small`, unit by unit where they are not linear."""

    def ratio(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.where(a == b, (a > 0).double(), (a.clamp(min=0) - b.clamp(min=0)) / (a - b))

    before1, other1 = (F.conv2d(v, net.conv1.weight, net.conv1.bias, 2, 1) for v in (x, start))
    pooled, other_pooled = (F.max_pool2d(v.clamp(min=0), 2) for v in (before1, other1))
    before2, other2 = (F.conv2d(v, net.conv2.weight, net.conv2.bias, 1, 1) for v in (pooled, other_pooled))
    down = net.fc.weight[index].view(1, 4, 4, 4).expand_as(before2) * ratio(before2, other2)
    down = F.conv_transpose2d(down, net.conv2.weight, padding=1)
    spread = torch.zeros_like(before1)
    for n, c, i, j in torch.cartesian_prod(*(torch.arange(size) for size in down.shape)).tolist():
        own, other = (v[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].clamp(min=0).flatten() for v in (before1, other1))
        place = int((own if own.max() >= other.max() else other).argmax())
        change = own[place] - other[place]
        share = (own.max() - other.max()) / change if change else 1.0
        spread[n, c, 2 * i + place // 2, 2 * j + place % 2] = down[n, c, i, j] * share
    down = F.conv_transpose2d(spread * ratio(before1, other1), net.conv1.weight, stride=2, padding=1)
    return down * (x - start)


@pytest.mark.parametrize("style", STYLES)
def test_multipliers_are_those_of_a_slow_backward_pass(style: str) -> None:
    net, x, start = small(style), pixels(2), pixels(2, seed=8)
    expected = slow(net, x, start, 2).detach()
    found = deeplift(net, x, 2, baseline=start)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum((1, 2, 3)), (net(x) - net(start))[:, 2].detach())


@pytest.mark.parametrize("style", STYLES)
def test_a_unit_is_explained_completely_too(style: str) -> None:
    net, x = small(style), pixels(3)
    rise = (feature_map(net, x, 2) - feature_map(net, torch.zeros_like(x), 2)).detach()
    for unit, expected in ((1, rise[:, 1].sum((1, 2))), ((0, 2, 3), rise[:, 0, 2, 3])):
        found = deeplift(net, x, layer=net.layer(2), unit=unit)
        torch.testing.assert_close(found.sum((1, 2, 3)), expected)


class Wild(nn.Module):
    """Everything the rule is defined for: in place, in a slice, as method, on a shortcut, smooth and cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.next = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.act = nn.PReLU(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - 0.5) / 0.25
        x = self.norm(self.conv(x))
        x[:, :3].relu_()
        y = F.silu(self.next(x))
        y += x
        y = self.act(F.dropout(y, 0.5, training=False))
        y = torch.cat(
            [
                y.sigmoid(),
                F.relu6(y[:, 3:]),
                y[:, :1].exp(),
                1 / (y[:, 2:3] ** 2 + 1),
                torch.clamp(y[:, :2], -0.2, 0.4),
            ],
            1,
        )
        y = F.adaptive_max_pool2d(F.max_pool2d(F.pad(y, (1, 0, 1, 0)), 3, 2, 1, ceil_mode=True), 2)
        return F.gelu(F.interpolate(y, scale_factor=2, mode="bilinear").mean((2, 3)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_completeness_of_everything_the_rule_is_defined_for(dtype: torch.dtype, baseline: float) -> None:
    torch.manual_seed(0)
    net, x = Wild().eval().to(dtype), pixels(3).to(dtype)
    for index in (0, 7, 11):
        rise = (net(x) - net(torch.full_like(x, baseline)))[:, index].detach()
        found = deeplift(net, x, index, baseline=baseline, batch_size=2)
        tight = {"rtol": 1e-9, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-6}
        torch.testing.assert_close(found.sum((1, 2, 3)), rise, **tight)


def test_traced_and_exported_networks_have_the_same_answer() -> None:
    torch.manual_seed(0)
    net, x = Wild().eval(), pixels(2).float()
    expected = deeplift(net, x, 7)
    exported = torch.export.export(net, (x,))
    for form in (torch.fx.symbolic_trace(net), exported.module()):
        torch.testing.assert_close(deeplift(form, x, 7), expected)
    with pytest.raises(UnsupportedError, match="mul of two activations"):  # what is left of SiLU
        deeplift(exported.run_decompositions().module(), x, 7)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x * x.sigmoid(), r"/mul:1: DeepLIFT's rescale rule is not defined for mul of two activations"),
        (lambda x: x * (x > 0), "/gt:1"),
        (lambda x: x / (1 + x.norm()), "/norm:1"),
        (lambda x: x.softmax(1), "explain the logits before it"),
        (lambda x: F.layer_norm(x, x.shape[1:]), "layer_norm"),
        (lambda x: F.batch_norm(x, None, None, training=True), "batch_norm in training mode"),
        (lambda x: F.dropout(x, training=True), "dropout in training mode"),
        (lambda x: x.amax(1, keepdim=True).expand_as(x), "/amax:1"),
        (lambda x: x @ x.transpose(2, 3), "/matmul:1"),
        (lambda x: torch.where(x > 0.5, x, 0), "/gt:1"),
        (lambda x: x.detach(), "/detach:1"),
    ],
)
def test_calls_without_a_rule_are_refused_by_name(function, reason: str) -> None:
    class Holder(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(x).flatten(1)[:, :3]

    with pytest.raises(UnsupportedError, match=reason):
        deeplift(Holder(), pixels(2), 1)


def test_bad_references_and_hidden_calls() -> None:
    net, x = small(), pixels()
    with pytest.raises(DataError, match="broadcasts"):
        deeplift(net, x, baseline=torch.zeros(4))
    with pytest.raises(DataError, match="NaN"):
        deeplift(net, x, baseline=float("nan"))
    with pytest.warns(RuntimeWarning, match="zero everywhere"):
        assert not deeplift(net, x, baseline=x).any()
    with pytest.raises(UnsupportedError, match="TorchScript"):
        deeplift(torch.jit.trace(net, x), x)


def test_the_model_is_left_as_it_was() -> None:
    net, x = small("reused").requires_grad_(False), pixels()
    before = x.clone()
    deeplift(net, x)
    assert x.equal(before) and not any(p.requires_grad or p.grad is not None for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
