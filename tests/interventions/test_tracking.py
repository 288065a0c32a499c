"""Gradients from one layer on, against those of the whole graph."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from small_networks import FORMS, STYLES, InPlace, Modules, build, images
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import LayerError, calls, record, track_from


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("style", STYLES)
def test_answers_and_gradients_are_those_of_the_whole_graph(style: type[nn.Module], form: Callable) -> None:
    network, pixels = form(build(style)), images()
    for call in calls(network, pixels):
        if len(call.output_shape) != 4:
            continue
        with track_from(network, call.name) as tracked:
            answer = network(pixels)
        slope = torch.autograd.grad(answer[:, 1].sum(), tracked.value, allow_unused=True)[0]
        with torch.enable_grad(), record(network, [call.name]) as values:
            whole = network(pixels.clone().requires_grad_())
            expected = torch.autograd.grad(whole[:, 1].sum(), values[call.name], allow_unused=True)[0]
        assert answer.equal(whole)
        assert tracked.value.equal(values[call.name])
        # two nodes may share a tensor that an in-place call dropped: None and zeros say the same
        zeros = torch.zeros_like(tracked.value)
        found, wanted = (zeros if g is None else g for g in (slope, expected))
        assert torch.allclose(found, wanted, atol=1e-7), call.name


def test_what_comes_before_is_not_in_the_graph() -> None:
    network, pixels = build(Modules), images().requires_grad_()
    with track_from(network, "point") as tracked:
        answer = network(pixels)
    assert tracked.value.is_leaf
    assert torch.autograd.grad(answer.sum(), pixels, allow_unused=True) == (None,)


def test_the_gradient_mode_is_restored_after_an_exception() -> None:
    network = build(Modules)
    with pytest.raises(RuntimeError), track_from(network, "stem"):
        network(torch.rand(1, 3, 1))
    assert torch.is_grad_enabled()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_names_that_say_too_little_or_too_much() -> None:
    network = build(InPlace)
    with track_from(network, "second") as tracked:
        network(images())
    with pytest.raises(LayerError, match="called 3 times in a pass; name one: second:1"):
        _ = tracked.value
    with pytest.raises(LayerError, match="near names: first"), track_from(network, "frist"):
        pass
    with pytest.raises(UnsupportedError), track_from(torch.jit.trace(network, images()), "first"):
        pass
