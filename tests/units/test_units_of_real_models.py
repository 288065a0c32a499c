"""Inception v3 and MobileNetV2 with real weights: what the published classifiers find in them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnaudit.units import copies, kernels, noise_padding
from cnnaudit.units.border import border_distances

DATA = os.environ.get("CNNAUDIT_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="CNNAUDIT_DATA names no folder with real weights and photographs")


@pytest.fixture(scope="module")
def inception() -> torch.nn.Module:
    from safetensors.torch import load_file
    from torchvision.models import inception_v3

    model = inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False)
    model.load_state_dict(load_file(Path(DATA or "") / "models" / "inception_v3_imagenet_fp16.safetensors"))
    return model.float().eval()


def photographs(n: int) -> torch.Tensor:
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import functional as transforms

    files = sorted((Path(DATA or "") / "images").iterdir())[:n]
    images = [decode_image(str(file), ImageReadMode.RGB).float() / 255 for file in files]
    return torch.stack([transforms.resize(image, [299, 299], antialias=True) for image in images]) * 2 - 1


def test_the_published_threshold_finds_units_of_one_line_only(inception: torch.nn.Module) -> None:
    found, square = [], 0
    for layer in kernels(inception):
        if max(layer.size) >= 3 and layer.layer != "Conv2d_1a_3x3.conv":  # which pads nothing
            units = np.flatnonzero(border_distances(layer.weights).joined("or") >= 0.5)
            found += [(layer.layer, int(unit)) for unit in units]
            square += layer.units if min(layer.size) >= 3 and layer.layer.startswith("Mixed") else 0
    assert found == [
        ("Mixed_6d.branch7x7dbl_4.conv", 14),
        ("Mixed_6d.branch7x7dbl_4.conv", 18),
        ("Mixed_6e.branch7x7dbl_3.conv", 11),
        ("Mixed_6e.branch7x7dbl_4.conv", 147),
        ("Mixed_7b.branch3x3dbl_3a.conv", 269),
        ("Mixed_7b.branch3x3dbl_3a.conv", 278),
    ]
    assert square > 2000  # not one of them among as many 3x3 and 5x5 kernels


def test_noise_silences_the_units_found(inception: torch.nn.Module) -> None:
    found = noise_padding(inception, photographs(4), "Mixed_6d.branch7x7dbl_4.conv", [14, 18])
    assert found.confirmed.all() and found.sides.tolist() == ["bottom", "top"]
    assert (found.border > 50 * found.interior).all()


def test_first_filters_are_copies_up_to_rotation(inception: torch.nn.Module) -> None:
    from safetensors.torch import load_file
    from torchvision.models import mobilenet_v2

    first, second = kernels(inception)[:2]
    assert [(pair.unit, pair.other, pair.symmetry) for pair in copies(first)] == [(17, 25, "turned by 90")]
    assert {unit for pair in copies(second) for unit in (pair.unit, pair.other)} == {8, 16, 19, 25}
    mobile = mobilenet_v2()
    mobile.load_state_dict(load_file(Path(DATA or "") / "models" / "mobilenet_v2_imagenet.safetensors"))
    assert len({unit for pair in copies(kernels(mobile)[0]) for unit in (pair.unit, pair.other)}) == 11
