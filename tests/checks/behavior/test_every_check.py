"""What all checks of `behavior` share: few images, any channels and classes, models that raise."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from cnnaudit.core.errors import ModelError
from cnnaudit.core.findings import Finding
from cnnaudit.target import Claims

NAMES = (
    "claimed_accuracy",
    "calibration",
    "collapsed_classes",
    "corruption",
    "determinism",
    "input",
    "invariance",
    "pipeline",
    "shift_consistency",
    "single_pixel",
    "worst_group",
)
EVERYTHING = Claims(0.5, rotation_degrees=20, translation_pixels=1, scale=1.2, noise=0.1, polarity=True)


def ask(name, target):
    found = getattr(importlib.import_module(f"cnnaudit.checks.behavior.{name}"), name)(target)
    return [found] if isinstance(found, Finding) else found


@pytest.mark.parametrize("name", NAMES)
def test_one_image_is_too_few(make, name):
    (found,) = ask(name, make([0], k=3, claims=EVERYTHING, metadata={"site": np.array(["a"])}))
    if name == "determinism":
        assert found.verdict == "pass"
    else:
        assert found.verdict == "not_applicable" and "1 image;" in found.summary


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("k", [2, 30])
def test_every_check_is_asked_of_any_channels_and_classes(make, channels, k):
    labels = np.arange(120) % k
    target = make(labels, channels=channels, claims=EVERYTHING, metadata={"site": labels // 2 % 2})
    for name in NAMES:
        first, again = ([{**f.to_json(), "seconds": 0} for f in ask(name, target)] for _ in range(2))
        assert first == again


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_raises_is_named_with_its_batch(make, name):
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("no such thing")

    target = make(np.arange(40) % 2, claims=EVERYTHING, metadata={"site": np.arange(40) // 20})
    target = replace(target, model=Broken())
    with pytest.raises(ModelError, match=r"ValueError on a batch of shape \(\d+, 1, 8, 8\): no such thing"):
        ask(name, target)
