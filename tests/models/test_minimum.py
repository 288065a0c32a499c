"""The minimum models: their published sizes, and what their padding does."""

from __future__ import annotations

import pytest
import torch

from cnnaudit.errors import ModelError
from cnnaudit.models import minimum


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({}, 16),
        ({"pool": 14, "hidden": 12}, 109),
        ({"pool": 7, "hidden": 16}, 333),
        ({"kernel": 2}, 11),
        ({"pool": 14}, 25),
        ({"kernel": 4, "pool": 7, "hidden": 4}, 100),
        ({"pool": 7, "hidden": 8}, 173),
        ({"filters": 2, "channels": 3, "classes": 2}, 2 * 28 + 2 * 2 + 2),
    ],
)
def test_parameter_counts(arguments: dict[str, int], parameters: int) -> None:
    model = minimum(**arguments)
    assert sum(p.numel() for p in model.parameters()) == parameters
    channels, classes = arguments.get("channels", 1), arguments.get("classes", 3)
    assert model(torch.rand(5, channels, 28, 28)).shape == (5, classes)


def test_replicate_padding_sees_no_border_on_a_constant_image() -> None:
    for padding_mode, flat in (("zeros", False), ("replicate", True)):
        model = minimum(padding_mode=padding_mode)
        with torch.no_grad():
            maps = model.conv(torch.ones(1, 1, 28, 28))
        assert (float(maps.max() - maps.min()) < 1e-6) == flat


def test_average_pooling_is_the_mean_of_the_map() -> None:
    model = minimum(pooling="average")
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        assert torch.allclose(model.pool(images).flatten(), images.mean(dim=(1, 2, 3)))


@pytest.mark.parametrize("arguments", [{"pool": 29}, {"pool": 0}, {"pooling": "median"}, {"padding_mode": "zero"}])
def test_arguments_are_checked(arguments: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=f"{next(iter(arguments))} must be"):
        minimum(**arguments)
