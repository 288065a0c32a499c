"""LeNet: its published size and its small variants."""

from __future__ import annotations

import pytest
import torch

from cnnaudit.core.errors import ModelError
from cnnaudit.models import lenet


@pytest.mark.parametrize(("arguments", "parameters"), [({}, 113_386), ({"filters": (8, 16), "hidden": 32}, 14_410)])
def test_parameter_counts(arguments: dict[str, object], parameters: int) -> None:
    model = lenet(**arguments)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_other_images() -> None:
    assert lenet(filters=(4,), classes=3, size=11, channels=3)(torch.rand(2, 3, 11, 11)).shape == (2, 3)


def test_too_small_images_are_refused() -> None:
    with pytest.raises(ModelError, match="images of 8 pixels are too small for 3 convolutions"):
        lenet(filters=(2, 2, 2), size=8)
