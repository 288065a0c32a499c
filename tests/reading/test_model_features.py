"""Where a model's few features are read, and that they are what the classifier gets."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import LayerError, calls
from cnnaudit.models import lenet, minimum
from cnnaudit.reading.features import feature_names, few_features, last_features, model_features, read_features

IMAGES = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))


class GlobalMean(nn.Module):
    def __init__(self, linear: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(1, 5, 3)
        self.head = nn.Linear(5, 3) if linear else nn.Conv2d(5, 3, 1)

    def forward(self, images):
        maps = torch.relu(self.conv(images))
        return self.head(maps.mean((2, 3))) if isinstance(self.head, nn.Linear) else self.head(maps).mean((2, 3))


def place(model, layer=None):
    return few_features(calls(model.eval(), IMAGES[:1]), layer)


@pytest.mark.parametrize("hidden", [None, 12])
def test_they_are_the_pooled_maps_that_the_classifier_reads(hidden):
    model = minimum(filters=2, pool=14, hidden=hidden)
    found = place(model)
    assert (found.layer, found.grid) == ("hidden" if hidden else "output", (2, 2, 2))
    with torch.no_grad():
        expected = model[:4](IMAGES).double().numpy()
    assert np.array_equal(model_features(model, IMAGES), expected)
    assert feature_names(found)[5] == "feature 6 (filter 2, top right)"


def test_a_model_that_pools_by_a_mean():
    found = place(GlobalMean())
    assert found.size == 5 and found.grid == (5, 1, 1) and feature_names(found)[4] == "feature 5 (filter 5)"


def test_one_feature_is_called_so():
    assert feature_names(place(minimum())) == ("the feature",)


def test_many_features_are_read_where_they_are_few():
    found = place(lenet(filters=(8, 16), hidden=32))
    assert (found.layer, found.size, found.grid) == ("output", 32, None)
    assert feature_names(found)[0] == "feature 1"


def test_a_model_with_many_features_is_refused_with_layers_that_would_do():
    with pytest.raises(UnsupportedError, match=r"read 100 features or more.*at most 64.*--layer: small, output"):
        place(TwoHeads())


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.small, self.output = nn.Linear(784, 100), nn.Linear(100, 20), nn.Linear(100, 3)

    def forward(self, images):
        wide = self.wide(images.flatten(1))
        return self.small(wide)[:, :3] + self.output(wide)


def test_a_named_layer_is_read_or_refused():
    model = lenet(filters=(8, 16), hidden=32)
    found = place(model, "hidden_relu")
    assert found.output and found.words == "the output of hidden_relu"
    with torch.no_grad():
        assert np.array_equal(model_features(model, IMAGES, "hidden_relu"), model[:9](IMAGES)[:, :32].double().numpy())
    with pytest.raises(UnsupportedError, match=r"'conv1' gives 5,408 values an image \(8 x 26 x 26\).*--layer"):
        place(model, "conv1")
    with pytest.raises(LayerError, match="no layer 'hiden'"):
        model_features(model, IMAGES, "hiden")


def test_a_pooling_layer_can_be_named():
    found = place(minimum(pool=7), "pool")
    assert found.grid == (1, 4, 4) and found.pooling is not None and found.pooling.name == "pool"


def test_models_without_linear_layer():
    with pytest.raises(UnsupportedError, match="no linear layer"):
        place(GlobalMean(linear=False))
    with pytest.raises(UnsupportedError, match="neither in a linear"):
        last_features(calls(nn.Conv2d(1, 2, 3), IMAGES[:1]), 3)


def test_the_last_features_are_those_of_the_last_linear_layer_or_1x1_convolution():
    model = GlobalMean(linear=False).eval()
    found = last_features(calls(model, IMAGES[:1]), 3)
    with torch.no_grad():
        expected = torch.relu(model.conv(IMAGES)).mean((2, 3)).double().numpy()
    assert found.size == 5 and np.allclose(read_features(model, IMAGES, found), expected)
    assert last_features(calls(lenet(), IMAGES[:1]), 10).layer == "output"


def test_batches_change_nothing():
    model = minimum(pool=7)
    found = place(model)
    one, all_ = (read_features(model, IMAGES, found, batch_size=size) for size in (1, 64))
    assert np.allclose(one, all_, atol=1e-6)


def test_a_linear_layer_on_maps_with_their_channels_last_reads_their_last_axis():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv2d(1, 5, 3), nn.Linear(5, 3)

        def forward(self, x):
            return self.last(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2))

    model = Last().eval()
    found = last_features(calls(model, IMAGES[:1]), 3)
    with torch.no_grad():
        expected = model.conv(IMAGES).mean((2, 3)).double().numpy()
    assert found.size == 5 and np.allclose(read_features(model, IMAGES, found), expected)
