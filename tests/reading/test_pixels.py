"""The pixel of maximum activation, against a search by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import calls
from cnnaudit.models import lenet, minimum
from cnnaudit.reading.features import few_features
from cnnaudit.reading.pixels import maximum_pixels

IMAGES = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def found(model, images=IMAGES, layer=None):
    model.eval()
    return maximum_pixels(model, images, few_features(calls(model, images[:1]), layer))


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_it_is_where_the_cell_is_largest(pooling):
    torch.manual_seed(0)
    model = minimum(filters=2, pool=14, pooling=pooling)
    with torch.no_grad():
        maps = model[:2](IMAGES).numpy()
    pixels = found(model)
    for n in range(len(IMAGES)):
        for feature, (f, top, left) in enumerate((f, r, c) for f in range(2) for r in (0, 14) for c in (0, 14)):
            cell = maps[n, f, top : top + 14, left : left + 14]
            row, column = np.unravel_index(cell.argmax(), cell.shape)
            where = (row + top, column + left) if cell.max() > 0 else (-1, -1)
            assert (pixels.rows[n, feature], pixels.columns[n, feature]) == where
            assert pixels.strength[n, feature] == pytest.approx(cell.max())


def test_padded_overlapping_and_global_pooling():
    for pool in (nn.MaxPool2d(13, 13, 6), nn.AdaptiveMaxPool2d(2), nn.AdaptiveAvgPool2d(1)):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), pool, nn.Flatten(), nn.LazyLinear(3))
        model(IMAGES[:1])
        pixels = found(model)
        with torch.no_grad():
            maps = model[:2](IMAGES).numpy()
            cells = model[:4](IMAGES).numpy()
        n, d = np.nonzero(pixels.rows >= 0)
        filters = d // (cells.shape[1] // 2)
        assert np.allclose(maps[n, filters, pixels.rows[n, d], pixels.columns[n, d]], pixels.strength[n, d])
        if not isinstance(pool, nn.AdaptiveAvgPool2d):
            assert np.allclose(pixels.strength, cells)


def test_zero_padding_on_white_is_found_at_the_corner_of_the_thesis():
    model = minimum(pool=14, hidden=12)
    with torch.no_grad():  # white at the upper left, black at the lower right
        model.conv.weight[:] = torch.tensor([[2.0, 1, 0], [1, 0, -1], [0, -1, -2]])
        model.conv.bias[:] = -0.1
    pixels = found(model, torch.ones(5, 1, 28, 28))
    assert (pixels.rows[:, 3] + 1).tolist() == (pixels.columns[:, 3] + 1).tolist() == [28] * 5
    assert pixels.at_border()[:, 3].all() and pixels.rows[0, 0] == -1
    assert pixels.frequency()[27, 27] == 1
    assert pixels.frequency(np.zeros(5, bool)).sum() == 0


def test_features_without_a_place_are_refused():
    with pytest.raises(UnsupportedError, match="no place in the image"):
        found(lenet(filters=(8, 16), hidden=32))
