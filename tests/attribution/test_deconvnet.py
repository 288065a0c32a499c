"""Deconvnet and guided backpropagation against unpooling, rectification and transposed convolution written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small import STYLES, Small, feature_map, only, pixels, slow_projection, small
from torch import nn

from cnnaudit.attribution import deconvnet, gradient, guided_backpropagation
from cnnaudit.core.errors import AuditError, DataError, UnsupportedError
from cnnaudit.interventions import LayerError

METHODS = {"deconvnet": deconvnet, "guided": guided_backpropagation}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [16, 17])
def test_any_unit_at_any_depth_is_the_papers_projection(style: str, method: str, size: int) -> None:
    net, x = small(style, size=size), pixels(size=size)
    for depth in (1, 2):
        maps = feature_map(net, x, depth)
        for unit in (0, 2, (1, 2, 3)):
            expected = slow_projection(net, x, only(maps, unit), depth, method == "guided")
            found = METHODS[method](net, x, layer=net.layer(depth), unit=unit)
            torch.testing.assert_close(found, expected)
        assert expected.abs().max() > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("style", STYLES)
def test_a_class_starts_with_one_at_its_logit(style: str, method: str) -> None:
    net, x = small(style), pixels()
    for classes in (1, torch.tensor([2, 0])):
        start = net.fc.weight[torch.as_tensor(classes).expand(2)].view(2, 4, 4, 4)
        expected = slow_projection(net, x, start, 2, method == "guided")
        torch.testing.assert_close(METHODS[method](net, x, classes), expected)


def test_without_a_class_it_is_the_predicted_one() -> None:
    net, x = small(), pixels(5)
    assert guided_backpropagation(net, x).equal(guided_backpropagation(net, x, net(x).argmax(1)))


def test_overlapping_windows_add_up_at_their_switches() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=1)).double().eval()
    x = pixels(1, 1, 7)
    pooled, switches = F.max_pool2d(net[:2](x), 3, 1, return_indices=True)
    unpooled = torch.zeros(1, 2, 49, dtype=x.dtype)
    for place, value in zip(switches[0, 1].flatten(), pooled[0, 1].flatten()):
        unpooled[0, 1, place] += value
    expected = F.conv_transpose2d(unpooled.view(1, 2, 7, 7).clamp(min=0), net[0].weight, padding=1)
    torch.testing.assert_close(deconvnet(net, x, layer="2", unit=1), expected)


def test_nothing_leaves_the_receptive_field() -> None:
    net, x = small(), pixels(1)
    row, column = 2, 1
    found = deconvnet(net, x, layer="relu2", unit=(0, row, column))
    # a unit of conv2 sees 3 pooled pixels a side, each 2 pixels of conv1, which see 3 pixels 2 apart
    outside = torch.ones(17, 17, dtype=torch.bool)
    top, left = (max(4 * (place - 1) - 1, 0) for place in (row, column))
    outside[top : 4 * (row + 1) + 4, left : 4 * (column + 1) + 4] = False
    assert found[..., outside].abs().max() == 0 < found.abs().max()


def test_units_of_linear_layers_and_before_their_relu() -> None:
    net, x = small(), pixels()
    weights = net.fc.weight[1].view(4, 4, 4)
    expected = slow_projection(net, x, weights * net(x)[:, 1].view(2, 1, 1, 1), 2, False)
    torch.testing.assert_close(deconvnet(net, x, layer="fc", unit=1), expected)
    before = F.conv2d(x, net.conv1.weight, net.conv1.bias, 2, 1)
    assert before[:, 0].min() < 0
    expected = F.conv_transpose2d(only(before, 0), net.conv1.weight, stride=2, padding=1)
    torch.testing.assert_close(deconvnet(net, x, layer="conv1", unit=0), expected)


@pytest.mark.parametrize("method", METHODS.values())
def test_models_without_relu_are_refused(method) -> None:
    smooth = nn.Sequential(nn.Conv2d(3, 2, 3), nn.SiLU(), nn.Flatten(), nn.Linear(450, 2)).double()
    with pytest.raises(UnsupportedError, match="1/silu:1"):
        method(smooth, pixels())
    with pytest.raises(UnsupportedError, match="no ReLU"):
        method(nn.Sequential(nn.Flatten(), nn.Linear(867, 2)).double(), pixels())
    with pytest.raises(UnsupportedError, match="TorchScript"):
        method(torch.jit.trace(small(), pixels()), pixels())


def test_a_silent_unit_is_said_and_not_drawn_in_silence() -> None:
    net = small()
    with torch.no_grad():
        net.conv2.bias[3] = -1e3
    with pytest.warns(RuntimeWarning, match="zero everywhere for 2 of 2 images"):
        assert not deconvnet(net, pixels(), layer="relu2", unit=3).any()


def test_bad_questions_are_answered_with_what_to_do() -> None:
    net, x = small(), pixels()
    with pytest.raises(AuditError, match="class_index 3 is out of range: the model has classes 0 to 2"):
        deconvnet(net, x, 3)
    with pytest.raises(AuditError, match="class_index -1 is out of range"):
        gradient(net, x, torch.tensor([0, -1]))
    with pytest.raises(AuditError, match=r"expected an integer or integers \(2,\)"):
        gradient(net, x, torch.tensor([0, 1, 2]))
    with pytest.raises(AuditError, match=r"channel 4 is out of range, 0 to 3"):
        deconvnet(net, x, layer="relu2", unit=4)
    with pytest.raises(AuditError, match=r"column 9 is out of range, 0 to 3"):
        deconvnet(net, x, layer="relu2", unit=(0, 0, 9))
    with pytest.raises(AuditError, match="is not spatial"):
        deconvnet(net, x, layer="fc", unit=(0, 1, 1))
    with pytest.raises(AuditError, match="name a unit of it, 0 to 3"):
        deconvnet(net, x, layer="relu2")
    with pytest.raises(AuditError, match="name its layer"):
        gradient(net, x, unit=2)
    with pytest.raises(AuditError, match="not both"):
        gradient(net, x, 1, layer="relu2", unit=2)
    with pytest.raises(LayerError, match="near names: relu2"):
        deconvnet(net, x, layer="relu3", unit=0)
    with pytest.raises(DataError, match="NaN or infinity in 1 of 2, first in number 1"):
        spoiled = x.clone()
        spoiled[1, 0, 0, 0] = float("nan")
        gradient(net, spoiled)
    with pytest.raises(DataError, match="floating-point tensor"):
        gradient(net, (x * 255).to(torch.uint8))
    with pytest.raises(AuditError, match="cannot be explained on these images"):
        gradient(net, pixels(size=40))


@pytest.mark.parametrize("style", STYLES)
def test_the_state_is_left_alone(style: str) -> None:
    net: Small = small(style).requires_grad_(False)
    net.conv1.weight.requires_grad_()
    x = pixels()
    before = x.clone()
    random = torch.get_rng_state()
    with torch.no_grad():
        guided_backpropagation(net, x)
    assert x.equal(before) and not x.requires_grad and torch.get_rng_state().equal(random)
    assert [p.requires_grad for p in net.parameters()] == [True] + 5 * [False]
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
