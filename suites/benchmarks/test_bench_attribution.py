"""Attributions against the libraries that people use: the same model and images in one run, as the ratio ours / peer.

ResNet-18 at 224 on one CPU thread; the pictures are in `torch.channels_last` for both. The cost in bfloat16 stands
apart, with the error that it makes.
"""

import pytest
import torch

from cnnaudit.benchmarking.workloads import Workload

SIZE, BATCH = 224, 8


@pytest.fixture(scope="module")
def network():
    from torchvision.models import resnet18

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return resnet18(weights=None).eval()


@pytest.fixture(scope="module")
def images():
    pixels = torch.rand(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return pixels.contiguous(memory_format=torch.channels_last)


@pytest.fixture
def against(relative_cost):
    """`against(name, ours, peer)`: both timed in turn, the ratio stored and returned."""

    def run(name, ours, peer, rounds=5):
        return relative_cost(name, Workload(name, ours, 0, 0), Workload(f"{name}/peer", peer, 0, 0), rounds=rounds)

    return run


@pytest.fixture(params=["fp32", "bf16"])
def precision(request):
    """A context for the pass in that precision."""
    return lambda: torch.autocast("cpu", torch.bfloat16, enabled=request.param == "bf16"), request.param


def error(found, expected):
    """The relative error, |found - expected| / |expected|."""
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def test_guided_backpropagation(against, network, images, precision):
    captum = pytest.importorskip("captum.attr")
    from cnnaudit.attribution import guided_backpropagation

    context, name = precision
    targets = torch.arange(len(images))
    peer = captum.GuidedBackprop(network)

    def ours():
        with context():
            return guided_backpropagation(network, images, targets)

    def theirs():
        return peer.attribute(images.clone(), target=targets)

    assert error(ours(), theirs()) < (1e-4 if name == "fp32" else 0.2)
    assert against(f"guided_backpropagation/{name}/captum", ours, theirs).ratio > 0


def test_integrated_gradients(against, network, images, precision):
    captum = pytest.importorskip("captum.attr")
    from cnnaudit.attribution import integrated_gradients

    context, name = precision
    targets = torch.arange(2)
    peer = captum.IntegratedGradients(network)

    def ours():
        with context():
            return integrated_gradients(network, images[:2], targets, steps=50)

    def theirs():
        return peer.attribute(images[:2].clone(), target=targets, n_steps=50, internal_batch_size=8)

    assert error(ours(), theirs()) < (1e-2 if name == "fp32" else 0.2)
    assert against(f"integrated_gradients/{name}/captum", ours, theirs, rounds=3).ratio > 0
