"""MobileNetV2 with real weights on real photographs, its 35 ReLU6 given as modules and as functions in place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.attribution import deconvnet, deeplift, gradient, guided_backpropagation
from cnnaudit.interventions import relu_rule

DATA = os.environ.get("CNNAUDIT_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="CNNAUDIT_DATA names no folder with real weights and photographs")


class Functional(nn.Module):
    """What a stranger may have written: the same activation as a function, in place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu6(x, inplace=True)


def mobilenet(functional: bool) -> nn.Module:
    from safetensors.torch import load_file
    from torchvision.models import mobilenet_v2

    net = mobilenet_v2()
    net.load_state_dict(load_file(Path(DATA) / "models" / "mobilenet_v2_imagenet.safetensors"))
    if functional:
        for module in list(net.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.ReLU6):
                    setattr(module, name, Functional())
    return net.eval()


def photographs() -> torch.Tensor:
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import functional as transforms

    files = sorted((Path(DATA) / "images").iterdir())[20:22]
    images = [decode_image(str(file), ImageReadMode.RGB).float() / 255 for file in files]
    crops = [transforms.center_crop(transforms.resize(image, 146, antialias=True), 128) for image in images]
    return transforms.normalize(torch.stack(crops), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_modules_and_functions_in_place_have_the_same_explanation() -> None:
    modules, functions, x = mobilenet(False), mobilenet(True), photographs()
    with torch.no_grad():
        classes = modules(x).argmax(1)
        for net in (modules, functions):
            with relu_rule(net, "guided") as ruled:
                assert net(x).equal(modules(x))
            assert len(ruled) == 35
    for method in (gradient, guided_backpropagation, deconvnet, deeplift):
        expected = method(modules, x, classes)
        assert (method(functions, x, classes) - expected).norm() < 1e-3 * expected.norm()


def test_deeplift_is_complete() -> None:
    net, x = mobilenet(True), photographs()
    with torch.no_grad():
        classes = net(x).argmax(1)
        rise = (net(x) - net(torch.zeros_like(x))).gather(1, classes[:, None])[:, 0]
    torch.testing.assert_close(deeplift(net, x, classes).sum((1, 2, 3)), rise, rtol=1e-3, atol=1e-3)


def test_captum_explains_another_network_when_the_functions_are_in_place() -> None:
    captum = pytest.importorskip("captum.attr")
    x, truth = photographs(), guided_backpropagation(mobilenet(True), photographs(), 100)
    theirs = captum.GuidedBackprop(mobilenet(True)).attribute(x.clone().requires_grad_(), target=100)
    assert (theirs - truth).norm() > 0.5 * truth.norm()
    assert (theirs - gradient(mobilenet(True), x, 100)).norm() < 1e-3 * theirs.norm()  # the plain gradient
