"""The minimum models: their published sizes, and what their padding does."""

from __future__ import annotations

import pytest
import torch

from cnnaudit.core.errors import ModelError
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
        ({"stride": 2, "pool": 7}, 10 + 4 * 3 + 3),
        ({"kernel": 2, "stride": 2, "pool": 14}, 11),
        ({"kernel": 4, "stride": 4, "pool": 7, "activation": "abs"}, 23),
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


def test_the_absolute_value_sees_no_polarity() -> None:
    model = minimum(activation="abs", padding_mode="replicate", hidden=2)
    assert [name for name, _ in model.named_children()][1] == "abs"
    with torch.no_grad():
        model.conv.weight -= model.conv.weight.mean()
        model.conv.bias.zero_()
        images = torch.rand(3, 1, 28, 28)
        assert torch.allclose(model(images), model(1 - images), atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"pool": 29},
        {"pool": 0},
        {"pool": 15, "stride": 2},
        {"pooling": "median"},
        {"padding_mode": "zero"},
        {"activation": "gelu"},
    ],
)
def test_arguments_are_checked(arguments: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=f"{next(iter(arguments))} must be"):
        minimum(**arguments)
