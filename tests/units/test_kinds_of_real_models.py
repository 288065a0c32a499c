"""MobileNetV2 with real weights: dead, color-blind and untrained units beside an untrained twin."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnaudit.models.untrained import untrained_twin
from cnnaudit.units import color_blind, dead, kernels
from cnnaudit.units.color import RESPONSE, WEIGHTS, color_agreement, hue_sensitivity, kernel_color
from cnnaudit.units.untrained import noise_p_values

DATA = os.environ.get("CNNAUDIT_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="CNNAUDIT_DATA names no folder with real weights and photographs")


@pytest.fixture(scope="module")
def networks() -> tuple[torch.nn.Module, torch.nn.Module, torch.Tensor]:
    from safetensors.torch import load_file
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.models import mobilenet_v2
    from torchvision.transforms import functional as transforms

    class Normalized(torch.nn.Module):
        def __init__(self, net: torch.nn.Module):
            super().__init__()
            self.net = net

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.net(transforms.normalize(images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    net = mobilenet_v2()
    net.load_state_dict(load_file(Path(DATA or "") / "models" / "mobilenet_v2_imagenet.safetensors"))
    files = sorted((Path(DATA or "") / "images").iterdir())[::20]
    images = torch.stack(
        [transforms.resize(decode_image(str(f), ImageReadMode.RGB), [160, 160], antialias=True) for f in files]
    )
    model, images = Normalized(net).eval(), images.float() / 255
    twin = untrained_twin(model, images, seed=0)
    assert twin is not None
    return model, twin, images


def test_depthwise_units_that_never_stop_are_a_finding_of_training(networks) -> None:
    model, twin, images = networks
    always = {row.layer: row for row in dead(model, images, kind="always", twin=twin)}
    row = always["net.features.17.conv.1.0"]
    assert row.share > 0.5 and row.null < 0.05
    assert sum(len(r.found) for r in dead(twin, images, kind="never")) < 20
    assert len(dead(model, images)[0].found) >= 4  # dead units of the first layer, whose kernels are nearly 0


def test_weights_and_answers_agree_on_the_color_blind_units_of_the_first_layer(networks) -> None:
    model, twin, images = networks
    (weights,) = kernel_color(model, images)
    answers, null = hue_sensitivity(model, images), hue_sensitivity(twin, images)
    found = color_agreement(weights, answers[0], (WEIGHTS, RESPONSE))
    assert found.correlation > 0.6 and found.kappa > 0.5
    shares = color_blind(answers, RESPONSE, null=null)
    assert len(shares[0].found) >= 14 and shares[0].null < 0.4
    assert np.mean([row.share for row in shares]) > 0.4 > 0.1 > np.mean([row.null for row in shares])


def test_trained_filters_are_told_from_noise_and_those_of_the_twin_are_not(networks) -> None:
    model, twin, _ = networks
    trained, fresh = (noise_p_values(kernels(net), most=32) for net in (model, twin))
    shares = [float(np.mean([row.noise.mean() for row in rows])) for rows in (trained, fresh)]
    assert shares[0] < 0.6 and 0.85 < shares[1] < 0.95  # the null is 1 - ALPHA = .9
