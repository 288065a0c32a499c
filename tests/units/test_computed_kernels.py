"""Kernels whose weights are computed before each pass: normalized, parametrized and pruned convolutions."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from cnnaudit import units
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.testing import snapshots

WRAPS = {
    "plain": lambda conv: conv,
    "weight_norm": weight_norm,
    "spectral_norm": spectral_norm,
    "pruned": lambda conv: prune.l1_unstructured(conv, "weight", 0.5),
    "pruned twice": lambda conv: prune.random_unstructured(prune.l1_unstructured(conv, "weight", 0.5), "weight", 0.5),
    "pruned bias": lambda conv: prune.l1_unstructured(conv, "bias", 0.5),
    "parametrized weight_norm": parametrizations.weight_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
}


def wrapped(wrap, seed):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(WRAPS[wrap](nn.Conv2d(3, 4, 3)))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("wrap", WRAPS)
def test_the_kernels_are_those_of_the_next_pass(wrap, training):
    trained, network = wrapped(wrap, 0).eval(), wrapped(wrap, 1).eval()
    network(torch.rand(1, 3, 8, 8))  # leaves weights of its own
    network.load_state_dict(trained.state_dict())
    network.train(training)
    before = snapshots.of_model(network)
    found = units.kernels(network)[0].weights
    assert not snapshots.changed(before, snapshots.of_model(network))
    network.eval()(torch.rand(1, 3, 8, 8))
    assert abs(found - network[0].weight.detach().numpy()).max() < 1e-6
    assert abs(units.kernels(network, torch.rand(1, 3, 8, 8))[0].weights - found).max() < 1e-6


def test_a_hook_that_is_not_known_is_refused_and_an_image_helps():
    def scale(module, inputs):
        module.weight = module.raw * 2

    conv = nn.Conv2d(3, 4, 3)
    conv.raw = nn.Parameter(conv.weight.data.clone())
    del conv._parameters["weight"]
    conv.weight = conv.raw.detach()
    conv.register_forward_pre_hook(scale)
    network = nn.Sequential(conv)
    with pytest.raises(UnsupportedError, match=r"layer '0': .* give an image"):
        units.kernels(network)
    found = units.kernels(network, torch.rand(1, 3, 8, 8))[0].weights
    assert abs(found - 2 * conv.raw.detach().numpy()).max() < 1e-6
