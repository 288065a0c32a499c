"""Padding rules against the same networks built with that padding."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from small_networks import FORMS, MODES, STYLES, Functional, InPlace, Modules, Reused, build, eager, exported, images
from torch import nn

from cnnaudit.core.errors import AuditError, UnsupportedError
from cnnaudit.interventions import LayerError, calls, padding_rule, record

Form = Callable[[nn.Module], nn.Module]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("rule", MODES)
def test_bit_identical_to_the_network_built_so(style: type[nn.Module], rule: str, form: Form) -> None:
    network, twin = form(build(style)), build(style, rule)
    with torch.no_grad():
        expected = twin(images())
        with padding_rule(rule):  # type: ignore[arg-type]
            assert torch.equal(network(images()), expected)
        with padding_rule(rule, model=network):  # type: ignore[arg-type]
            assert torch.equal(network(images()), expected)
        if rule != "zeros":
            assert not torch.equal(network(images()), expected)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("mode", MODES[1:])
def test_zeros_replace_another_padding(style: type[nn.Module], mode: str) -> None:
    network, twin = build(style, mode), build(style)
    with torch.no_grad(), padding_rule("zeros"):
        assert torch.allclose(network(images()), twin(images()), rtol=1e-6, atol=0)  # an even 'same' kernel pads apart
    if style is not Functional:
        with torch.no_grad(), padding_rule("zeros"):
            assert torch.equal(network(images()), twin(images()))


@pytest.mark.parametrize("style", [InPlace, Reused])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_in_inference_mode(style: type[nn.Module], dtype: torch.dtype) -> None:
    network, twin = build(style).to(dtype), build(style, "reflect").to(dtype)
    with torch.inference_mode(), padding_rule("reflect"):
        assert torch.equal(network(images().to(dtype)), twin(images().to(dtype)))


@pytest.mark.parametrize("form", [eager, exported])
@pytest.mark.parametrize(
    ("chosen", "changed"),
    [
        (["block"], {"block.conv:1", "block.conv:2", "block.conv:3", "block.conv:4"}),
        (["block.conv"], {"block.conv:1", "block.conv:2", "block.conv:3", "block.conv:4"}),
        (["block:2"], {"block.conv:3", "block.conv:4"}),
        (["block.conv:2", "conv"], {"block.conv:2", "conv"}),
        (["block.conv/conv2d:3"], {"block.conv:3"}),
    ],
)
def test_only_the_named_layers_are_padded_anew(chosen: list[str], changed: set[str], form: Form) -> None:
    network = form(build(Reused))
    layers = [call.name for call in calls(network, images()) if call.kind == "conv2d"]
    with torch.no_grad():
        with record(network, ["pad", *layers]) as plain:
            network(images())
        before = dict(plain)
        for layer in layers:  # each alone, so that what it feeds does not hide whether it was changed itself
            with padding_rule("replicate", model=network, layers=[layer]), record(network, layers) as found:
                network(images())
            assert not torch.equal(found[layer], before[layer])
        with padding_rule("replicate", model=network, layers=chosen), record(network, layers) as together:
            network(images())
        first = next(layer for layer in layers if layer in changed)
        for layer in layers[: layers.index(first)]:
            assert torch.equal(together[layer], before[layer])
        assert not torch.equal(together[first], before[first])
        with padding_rule("replicate", model=network, layers=sorted(changed)):
            expected = network(images())
        with padding_rule("replicate", model=network, layers=chosen):
            assert torch.equal(network(images()), expected)


@pytest.mark.parametrize("inside", [True, False])
def test_recording_in_and_around_a_rule(inside: bool) -> None:
    network, twin = build(Reused), build(Reused, "circular")
    layers = ["conv", "block.conv:3", "block/relu:4"]
    with record(twin, layers) as expected:
        twin(images())
    contexts = [record(network, ["pad", *layers]), padding_rule("circular", model=network)]
    first, second = contexts if inside else contexts[::-1]
    with first as a, second as b:
        network(images())
    found = a or b
    assert all(torch.equal(found[layer], expected[layer]) for layer in layers)


@pytest.mark.parametrize("style", STYLES)
def test_the_calls_of_a_rule_are_not_counted_as_the_models(style: type[nn.Module]) -> None:
    network = build(style)
    with record(network) as found, padding_rule("noise", model=network):
        network(images())
    assert list(found) == [call.name for call in calls(network, images())]


def test_noise_stays_in_the_range_of_its_sample_and_channel() -> None:
    network = nn.Conv2d(2, 2, 1, padding=2, groups=2, bias=False)  # 1x1: the answer is the padded plane itself
    network.weight.data.fill_(1)
    plane = torch.rand(3, 2, 5, 4) + torch.arange(6).view(3, 2, 1, 1)
    with torch.no_grad(), padding_rule("noise", generator=torch.Generator().manual_seed(3)):
        found = network(plane)
    assert torch.equal(found[..., 2:-2, 2:-2], plane)
    border = F.pad(torch.zeros(5, 4, dtype=torch.bool), (2, 2, 2, 2), value=True)
    values, low, high = found[..., border], plane.amin((2, 3))[..., None], plane.amax((2, 3))[..., None]
    assert ((values >= low) & (values <= high)).all()
    assert (values.var(-1) > 0.05 * (high - low)[..., 0] ** 2).all()  # uniform: 1/12
    assert values.unique().numel() == values.numel()


def test_noise_comes_from_the_generator_alone() -> None:
    network = build(Modules)

    def noisy(seed: int | None) -> torch.Tensor:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        with torch.no_grad(), padding_rule("noise", generator=generator):
            return network(images())

    state = torch.get_rng_state()
    assert torch.equal(noisy(0), noisy(0))
    assert torch.equal(noisy(None), noisy(0))
    assert not torch.equal(noisy(1), noisy(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_gradients_pass_through_a_rule() -> None:
    network, twin = build(Modules), build(Modules, "replicate")
    pixels = images().requires_grad_()
    with padding_rule("replicate"):
        found = torch.autograd.grad(network(pixels).sum(), pixels)[0]
    assert torch.equal(found, torch.autograd.grad(twin(pixels).sum(), pixels)[0])


def test_max_pooling_keeps_its_padding() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.MaxPool2d(3, 1, 1))
    with torch.no_grad(), padding_rule("replicate"):
        answer = network(images() - 2)
    assert torch.equal(answer, network(images() - 2))


@pytest.mark.parametrize(
    ("rule", "size", "fits"), [("reflect", 2, False), ("reflect", 3, True), ("circular", 1, False)]
)
def test_a_plane_too_small_for_the_rule_is_refused(rule: str, size: int, fits: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 5, padding=2))
    try:
        with padding_rule(rule, model=network):  # type: ignore[arg-type]
            network(images(size=size))
        assert fits
    except UnsupportedError as error:
        assert not fits
        assert "0/conv2d:1" in str(error) and f"{size} x {size}" in str(error)


def test_what_had_no_effect_is_an_error() -> None:
    network = build(Modules)
    with (
        pytest.raises(LayerError, match=r"no layer 'stem.9'; near names: stem"),
        padding_rule("zeros", model=network, layers=["stem.9"]),
    ):
        pass
    with (
        pytest.raises(LayerError, match=r"'head': no 2-d convolution"),
        padding_rule("zeros", model=network, layers=["head"]),
    ):
        network(images())
    with pytest.raises(UnsupportedError, match="no 2-d convolution was called"), padding_rule("zeros"):
        nn.Linear(2, 2)(torch.rand(1, 2))
    with pytest.raises(AuditError, match="give `model` too"), padding_rule("zeros", layers=["stem"]):
        pass
    with pytest.raises(AuditError, match="expected one of zeros, replicate"), padding_rule("mirror"):  # type: ignore[arg-type]
        pass


def test_the_error_of_the_block_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), padding_rule("zeros"):
        raise ZeroDivisionError


def repadded(network: nn.Module, mode: str) -> nn.Module:
    """A copy whose convolutions have that padding mode."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = mode
    return twin


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    from torchvision.models import resnet18

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return resnet18(num_classes=10).eval()


@pytest.mark.parametrize("mode", MODES[1:])
def test_resnet18_eager_and_back(resnet: nn.Module, mode: str) -> None:
    pixels = images(2, 64)
    twin = repadded(resnet, mode)
    with torch.no_grad():
        with padding_rule(mode):  # type: ignore[arg-type]
            assert torch.equal(resnet(pixels), twin(pixels))
        with padding_rule("zeros"):
            assert torch.equal(twin(pixels), resnet(pixels))


def test_resnet18_exported(resnet: nn.Module) -> None:
    pixels = images(2, 64)
    graph = torch.export.export(resnet, (pixels,)).module()
    with torch.no_grad(), padding_rule("replicate", model=graph):
        assert torch.equal(graph(pixels), repadded(resnet, "replicate")(pixels))


def test_trained_mobilenet() -> None:
    folder = os.environ.get("CNNAUDIT_DATA")
    if not folder:
        pytest.skip("CNNAUDIT_DATA is not set: no trained weights")
    from safetensors.torch import load_file
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2().eval()
    network.load_state_dict(load_file(Path(folder) / "models" / "mobilenet_v2_imagenet.safetensors"))
    pixels = images(2, 96)
    with torch.no_grad():
        with padding_rule("replicate", model=network):
            found = network(pixels)
        assert torch.equal(found, repadded(network, "replicate")(pixels))
        assert not torch.equal(found, network(pixels))
