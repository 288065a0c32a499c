"""Color-blind units by weights, optimized images and answers: closed forms and planted kernels."""

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from torch import nn

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.units import color_blind
from cnnaudit.units.color import (
    RESPONSE,
    WEIGHTS,
    LayerColor,
    color_agreement,
    hue_loss,
    hue_sensitivity,
    kernel_color,
    peak_spread,
)
from cnnaudit.units.hue import LUMA, rotate_hue


def convolution(*rows, bias=False):
    net = nn.Conv2d(3, len(rows), 1, bias=bias)
    with torch.no_grad():
        net.weight.copy_(torch.tensor(rows).view(-1, 3, 1, 1))
    return net


def colored(n=6, side=8, seed=0):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_turned_hues_keep_luma_and_range_and_come_back():
    images, luma = colored(), torch.tensor(LUMA)
    for degrees in (0, 50, 120, 180, 270):
        turned = rotate_hue(images, degrees)
        torch.testing.assert_close(torch.einsum("c,nchw", luma, turned), torch.einsum("c,nchw", luma, images))
        assert turned.min() >= -1e-6 and turned.max() <= 1 + 1e-6
    dull = 0.5 + 0.1 * (images - 0.5)  # nowhere near the edge of what a pixel can hold
    torch.testing.assert_close(rotate_hue(rotate_hue(dull, 70), 290), dull)
    torch.testing.assert_close(rotate_hue(rotate_hue(dull, 90), 90), rotate_hue(dull, 180))
    assert (rotate_hue(dull, 120) - dull).abs().max() > 0.05
    gray = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(rotate_hue(gray, 77), gray)
    with pytest.raises(DataError, match="three channels"):
        rotate_hue(torch.rand(2, 1, 4, 4), 90)


def test_gray_and_opponent_kernels_have_the_energies_of_the_closed_form():
    net = convolution([1.0, 1, 1], [1, -1, 0], [2, 1, 1], [0, 0, 0], LUMA)
    (reading,) = kernel_color(net, colored())
    third = 1 - 16 / 18  # |mean|^2 * 3 / |w|^2 for (2, 1, 1)
    luma = 1 - 1 / (3 * sum(part**2 for part in LUMA))
    np.testing.assert_allclose(reading.values, [0, 1, third, np.nan, luma], atol=1e-7)
    assert color_blind([reading], WEIGHTS)[0].found == (0, 2, 4)


def test_random_kernels_follow_the_stated_distribution():
    torch.manual_seed(0)
    net = nn.Conv2d(3, 4000, 3)
    nn.init.normal_(net.weight)
    (reading,) = kernel_color(net, colored())
    assert kstest(reading.values, beta(9, 4.5).cdf).pvalue > 0.001


def test_only_layers_that_read_the_image_are_asked():
    net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.Flatten())
    assert [reading.layer for reading in kernel_color(net, colored())] == ["0"]
    with pytest.raises(UnsupportedError, match="three channels together"):
        kernel_color(nn.Conv2d(3, 3, 3, groups=3), colored())
    with pytest.raises(UnsupportedError, match="gray images have no color"):
        kernel_color(nn.Conv2d(1, 3, 3), torch.rand(1, 1, 8, 8))


def test_sensitivity_to_hue_is_its_definition():
    torch.manual_seed(0)  # no unit is dead on the images: that is another test
    net, images = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()), colored(7)
    (reading,) = hue_sensitivity(net, images, batch_size=2)
    with torch.no_grad():
        plain = net(images).double()
        turned = [net(rotate_hue(images, degrees)).double() for degrees in (90, 180, 270)]
    change = torch.stack([(t - plain).square().mean((0, 2, 3)) for t in turned]).mean(0)
    variance = plain.var((0, 2, 3), unbiased=False)
    np.testing.assert_allclose(reading.values, (change / (2 * variance)).numpy(), rtol=1e-4)


def test_a_luma_unit_does_not_mind_hue_an_opponent_one_does_and_a_constant_one_cannot_be_asked():
    net = convolution(LUMA, [1.0, -1, 0], [0, 0, 0])
    (reading,) = hue_sensitivity(net, colored())
    assert reading.values[0] < 1e-9 and reading.values[1] > 0.5 and np.isnan(reading.values[2])
    row = color_blind([reading], RESPONSE, null=[reading])[0]
    assert row.found == (0,) and row.units == 3 and row.null == pytest.approx(1 / 3)


def test_an_optimum_loses_its_height_with_its_hue_where_the_unit_reads_color():
    net = convolution(LUMA, [1.0, -1, 0])
    optima = torch.stack([torch.ones(3, 4, 4), torch.tensor([0.8, 0.2, 0.5]).view(3, 1, 1).expand(3, 4, 4)])
    reading = hue_loss(net, "", [0, 1], optima)
    np.testing.assert_allclose(reading.values, [0, 4 / 3], atol=1e-6)  # cosines of the angles: 0, -1 and 0
    assert reading.population == 2
    assert np.isnan(hue_loss(net, "", [0], torch.full((1, 3, 4, 4), 0.5)).values[0])  # it does not rise above gray
    with pytest.raises(DataError, match="one image for each of 1 units"):
        hue_loss(net, "", [0], optima)


def test_the_peaks_of_the_source():
    image = torch.full((2, 3, 10, 10), 0.5)
    image[0, 0, :4] = 1.0  # a minority does not move the peak
    image[1, 2, :6] = 0.0
    expected = np.std([128, 128, 0])
    np.testing.assert_allclose(peak_spread(image), [0, expected])


def test_agreement_in_rank_and_in_kind():
    one = LayerColor("a", np.arange(5), np.array([0.0, 0.1, 0.5, 0.9, np.nan]), 5)
    other = LayerColor("a", np.array([3, 2, 1, 0]), np.array([9.0, 5.0, 1.0, 0.0]), 5)
    found = color_agreement(one, other, (0.3, 3.0))
    assert (found.units, found.correlation, found.kappa) == (4, pytest.approx(1), 1.0)
    found = color_agreement(one, other, (0.3, 0.5))  # {0, 1} against {0}: agreed .75, by chance .5
    assert found.kappa == pytest.approx(0.5)
    assert color_agreement(one, other, (2.0, 10.0)).kappa is None
