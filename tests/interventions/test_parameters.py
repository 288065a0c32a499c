"""Parameters as constants: the same answers, the same gradients of the images, none of the weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small_networks import FORMS, STYLES, build, images
from torch import nn

from cnnaudit.interventions.parameters import ConstantParameters, strided_gradient


@pytest.mark.parametrize("form", FORMS[:3])
@pytest.mark.parametrize("style", STYLES)
def test_answers_stay_and_gradients_are_autograds(style: type[nn.Module], form: Callable) -> None:
    network, x = form(build(style)), images().requires_grad_()
    plain = network(x)
    (expected,) = torch.autograd.grad(plain.sum(), x)
    with ConstantParameters():
        answer = network(x)
        with torch.no_grad():
            assert not network(x).requires_grad
    assert answer.equal(plain)
    torch.testing.assert_close(torch.autograd.grad(answer.sum(), x)[0], expected)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    with ConstantParameters():
        assert not network(images()).requires_grad


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize(("kernel", "padding"), [((5, 5), (0, 0)), ((7, 6), (3, 2)), ((11, 5), (2, 4))])
@pytest.mark.parametrize("size", [(23, 30), (16, 17)])
def test_the_gradient_of_a_strided_convolution_phase_by_phase(stride, kernel, padding, size) -> None:
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 3, *kernel, generator=draw, dtype=torch.float64)
    x = torch.randn(2, 3, *size, generator=draw, dtype=torch.float64).requires_grad_()
    answer = F.conv2d(x, weight, stride=stride, padding=padding)
    signal = torch.randn(answer.shape, generator=draw, dtype=torch.float64)
    (expected,) = torch.autograd.grad(answer, x, signal)
    torch.testing.assert_close(strided_gradient(signal, weight, stride, padding, size), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_first_convolution_and_a_normalization_have_their_gradients(layout: torch.memory_format) -> None:
    class Stem(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.norm(self.conv(x)).relu_()
            return x.view(len(x), -1)  # not a view in channels_last

    network = Stem().double().eval()
    network.norm.running_var.uniform_(0.5, 2)
    network.norm.weight.data.uniform_(-1, 1)
    x = images(size=20).double().requires_grad_()
    (expected,) = torch.autograd.grad(network(x).square().sum(), x)
    with ConstantParameters():
        answer = network(x.contiguous(memory_format=layout))
    torch.testing.assert_close(torch.autograd.grad(answer.square().sum(), x)[0], expected)
    network.train()
    with ConstantParameters():
        (found,) = torch.autograd.grad(network(x).square().sum(), x)
    torch.testing.assert_close(found, torch.autograd.grad(network(x).square().sum(), x)[0])


def test_other_errors_of_a_view_pass() -> None:
    with ConstantParameters(), pytest.raises(RuntimeError, match="invalid for input of size"):
        torch.ones(6).view(4)
