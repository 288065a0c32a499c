"""A filter as a direction and as a mixture, against closed forms and planted mixtures."""

import itertools

import numpy as np
import pytest
from scipy.optimize import nnls

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.models import classic_filters
from cnnaudit.reading.filters import decompose, direction_of_change

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_the_direction_is_the_slope_that_excites_most(size):
    kernel = RNG.normal(size=(size, size))
    found = direction_of_change(kernel)
    place = np.arange(size) - (size - 1) / 2

    def answer(angle):
        return (kernel * (np.cos(angle) * place + np.sin(angle) * place[:, None])).sum()

    angles = np.linspace(0, 2 * np.pi, 3601)
    best = angles[np.argmax([answer(angle) for angle in angles])]
    assert (found.x, found.y) == pytest.approx((-np.cos(best), -np.sin(best)), abs=2e-3)


def test_mean_slope_and_rest_are_parts_of_the_energy():
    slope = np.tile(np.arange(3.0) - 1, (3, 1))
    found = direction_of_change(2 * slope + 1)
    assert found.share == pytest.approx(4 * 6 / (4 * 6 + 9)) and found.level == pytest.approx(9 / (4 * 6 + 9))
    assert found.sum == pytest.approx(9) and (found.x, found.y) == (-1, 0)
    assert found.words == "from white at the right to black at the left"


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (np.outer([-1, 0, 1], [1, 1, 1]), "from white at the bottom to black at the top"),
        (np.array([[2, 1, 0], [1, 0, -1], [0, -1, -2]]), "from white at the upper left to black at the lower right"),
        (np.ones((3, 3)), "no direction: it answers to brightness or to spots, not to a change from white to black"),
    ],
)
def test_the_direction_in_words(kernel, words):
    assert direction_of_change(kernel).words == words


@pytest.mark.parametrize("name", ["sobel x", "scharr y", "diagonal up", "laplacian", "gaussian blur"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_classic_filter_is_found_alone(name, sign):
    found = decompose(sign * 3.7 * classic_filters()[name])
    assert found.mixtures[0].weights == {name: sign} and found.mixtures[0].share == pytest.approx(1)
    assert found.span == pytest.approx(1) and found.cosines[name] == pytest.approx(sign)


def test_a_sobel_with_noise_keeps_its_share():
    bank = np.stack([values.ravel() for values in classic_filters().values()])
    noise = RNG.normal(size=9)
    noise -= np.linalg.pinv(bank) @ bank @ noise  # what no classic filter explains, so that the shares are known
    noise *= 0.4 / np.linalg.norm(noise)
    found = decompose(classic_filters()["sobel y"] + noise.reshape(3, 3))
    for mixture in found.mixtures:
        assert mixture.share == pytest.approx(1 / (1 + 0.4**2))
    assert list(found.mixtures[0].weights) == ["sobel y"]
    assert found.span == pytest.approx(1 / (1 + 0.4**2)) and found.mixtures[0].share > found.mixtures[0].chance[1]


def test_a_mixture_of_two_is_taken_apart():
    bank = classic_filters()
    found = decompose(2 * bank["sobel x"] - bank["laplacian"])
    norm = np.sqrt(4 + 1)
    weights = found.mixtures[1].weights
    assert set(weights) == {"sobel x", "laplacian"} and found.mixtures[1].share == pytest.approx(1)
    assert weights["sobel x"] == pytest.approx(2 / norm, abs=1e-5)
    assert weights["laplacian"] == pytest.approx(-1 / norm, abs=1e-5)


def test_shares_are_those_of_non_negative_least_squares_over_every_pair():
    kernel, bank = RNG.normal(size=(3, 3)), classic_filters()
    unit = kernel.ravel() / np.linalg.norm(kernel)
    best = 0.0
    for a, b in itertools.combinations(bank.values(), 2):
        if abs((a * b).sum()) <= 0.8:
            design = np.stack([a.ravel(), b.ravel()], 1)
            design = design * np.sign(unit @ design)
            best = max(best, 1 - nnls(design, unit)[1] ** 2)
    found = decompose(kernel)
    assert found.mixtures[1].share == pytest.approx(best)
    shares = [mixture.share for mixture in found.mixtures]
    assert shares == sorted(shares) and shares[-1] <= found.span + 1e-9


def test_random_filters_reach_the_chance_that_is_told():
    shares = [decompose(RNG.normal(size=(3, 3)), seed=1).mixtures[0] for _ in range(60)]
    above = np.mean([mixture.share > mixture.chance[1] for mixture in shares])
    assert above < 0.15
    assert (decompose(RNG.normal(size=(3, 3))).dimensions, decompose(RNG.normal(size=(2, 2))).dimensions) == (7, 3)


@pytest.mark.parametrize("kernel", [np.zeros((3, 3)), np.ones((2, 3)), np.ones((1, 1)), np.ones(3)])
def test_what_is_no_filter_is_refused(kernel):
    with pytest.raises(UnsupportedError):
        decompose(kernel)
