"""The values of layers as rows: maps, dense layers, and outputs that hold none."""

import pytest
import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.embedding.layer_values import MOST, layer_values
from cnnaudit.interventions import LayerError
from cnnaudit.models import lenet

IMAGES = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_rows_are_the_flattened_outputs_whatever_the_batch():
    model = lenet().eval()
    found = layer_values(model, IMAGES, ["pool2", "output"], batch_size=2)
    assert torch.allclose(torch.from_numpy(found["output"]), model(IMAGES), atol=1e-5)
    assert found["pool2"].shape == (5, 800)


def test_large_maps_are_averaged_over_squares():
    model = nn.Sequential(nn.Conv2d(1, 32, 1), nn.Flatten(), nn.Linear(32 * 28 * 28, 2))
    rows = layer_values(model, IMAGES, ["0"])["0"]
    maps = model[0](IMAGES)
    assert rows.shape[1] <= MOST
    assert rows.reshape(5, 32, -1).mean(2) == pytest.approx(maps.mean((2, 3)).detach().numpy(), abs=0.02)


def test_near_names_are_told_and_layers_without_numbers_refused():
    with pytest.raises(LayerError, match="hidden"):
        layer_values(lenet(), IMAGES, ["hiden"])

    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.most = nn.Identity()
            self.linear = nn.Linear(784, 2)

        def forward(self, x):
            self.most(x.flatten(1).argmax(1))
            return self.linear(x.flatten(1))

    with pytest.raises(UnsupportedError, match=r"layer 'most' answers torch.int64 \(5,\) to 5 images"):
        layer_values(Counts(), IMAGES, ["most"])
