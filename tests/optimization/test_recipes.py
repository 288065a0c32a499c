"""Recipes: each regularizer against its definition, the published settings as printed, learned priors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.core.errors import AuditError, ModelError
from cnnaudit.optimization import (
    RECIPES,
    Bilateral,
    Decoded,
    Fourier,
    Gaussian,
    Jitter,
    Pixels,
    Recipe,
    channel,
    learned_prior,
    logit,
    maximize,
)


def network(fixed=False):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pool = nn.Identity() if fixed else nn.AdaptiveAvgPool2d(1)
        last = nn.Linear(4 * 24 * 24 if fixed else 4, 3)
        return nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), pool, nn.Flatten(), last).eval()


def variation(images):
    return float(images.diff(dim=2).abs().mean() + images.diff(dim=3).abs().mean())


def test_the_families_of_the_review_and_the_published_recipes_are_named():
    families = {"none", "frequency", "total_variation", "bilateral", "robustness", "multi_scale", "examples"}
    assert {"default", "lees", "garriga"} | families == set(RECIPES)
    lees, garriga = RECIPES["lees"], RECIPES["garriga"]
    assert (lees.rule, lees.rate, lees.steps, lees.louder, lees.jitter) == ("normalized", 0.1, 500, (), None)
    assert (garriga.rule, garriga.rate, garriga.steps) == ("adam", 0.05, 2048)
    assert garriga.jitter == Jitter(pixels=8, scale=(0.9, 1.1), degrees=10, after=4, gray=0.5, padding=16)
    assert garriga.parameterization == Fourier() and Fourier().colors is not None


def test_a_normalized_step_is_as_long_as_the_rate():
    numbers, gradient = torch.rand(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    moved, _ = RECIPES["lees"].step(numbers, gradient, (gradient, gradient), 1)
    assert torch.allclose((moved - numbers).flatten(1).norm(dim=1), torch.full((3,), 0.1))
    direction = (moved - numbers) / (moved - numbers).flatten(1).norm(dim=1)[:, None, None, None]
    assert torch.allclose(direction, gradient / gradient.flatten(1).norm(dim=1)[:, None, None, None], atol=1e-4)


def test_steps_of_adam_are_those_of_torch():
    numbers = torch.rand(2, 1, 3, 3)
    peer = numbers.clone().requires_grad_()
    optimizer = torch.optim.Adam([peer], lr=RECIPES["default"].rate, maximize=True)
    moments = torch.zeros_like(numbers), torch.zeros_like(numbers)
    for step in range(1, 6):
        gradient = torch.randn(numbers.shape, generator=torch.Generator().manual_seed(step))
        numbers, moments = RECIPES["default"].step(numbers, gradient, moments, step)
        peer.grad = gradient
        optimizer.step()
    assert torch.allclose(numbers, peer, atol=1e-5)


def test_decay_draws_towards_gray():
    recipe = Recipe("decay", "", Pixels(), rate=0.0, decay=0.1)
    images = torch.rand(1, 1, 4, 4)
    found, _ = recipe.step(images, torch.ones_like(images), (images * 0, images * 0), 1)
    assert torch.allclose(found - 0.5, 0.9 * (images - 0.5))


def test_a_bilateral_filter_is_its_definition_and_keeps_edges():
    images = torch.rand(1, 2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = Bilateral(space=1.5, color=0.3, radius=1)(images)
    total, weights = torch.zeros(2, dtype=torch.float64), 0.0
    for row in (1, 2, 3):
        for column in (2, 3, 4):
            unlike = (images[0, :, row, column] - images[0, :, 2, 3]).square().sum() / (2 * 0.3**2)
            weight = torch.exp(-((row - 2) ** 2 + (column - 3) ** 2) / (2 * 1.5**2) - unlike)
            total, weights = total + weight * images[0, :, row, column], weights + weight
    assert torch.allclose(found[0, :, 2, 3], total / weights)
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    noisy = (edge + 0.05 * torch.randn(edge.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    smooth = Bilateral()(noisy)
    assert float((smooth[..., 4] - smooth[..., 3]).mean()) > 0.85
    assert float((Gaussian(1.0)(noisy)[..., 4] - Gaussian(1.0)(noisy)[..., 3]).mean()) < 0.6
    assert (smooth - edge).square().mean() < 0.5 * (noisy - edge).square().mean()


@pytest.mark.parametrize("name", ["frequency", "total_variation", "bilateral"])
def test_smoothing_recipes_give_smoother_images_than_none(name):
    plain = maximize(network(), logit(range(3)), (1, 28, 28), "none", steps=60)
    found = maximize(network(), logit(range(3)), (1, 28, 28), name, steps=60)
    assert variation(found.images) < 0.8 * variation(plain.images)


def test_octaves_grow_to_full_size():
    recipe = replace(RECIPES["multi_scale"], octaves=3, octave_ratio=2.0)
    assert recipe.grids((28, 20)) == [(7, 5), (14, 10), (28, 20)]
    coarse = replace(recipe, octaves=2, octave_ratio=7.0, jitter=None)
    half = maximize(network(), channel("0", 0), (1, 28, 28), coarse, steps=1)  # one step, of the first octave
    assert variation(half.images) < 0.01 and half.images.shape == (1, 1, 28, 28)
    found = maximize(network(), channel("0", range(4)), (1, 28, 28), coarse, steps=60)
    assert (found.height > found.start).all()


def test_gray_pixels_around_are_seen_where_the_model_takes_them():
    seen = []

    class Watched(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            seen.append(x.shape[2])
            return self.inner(x)

    jitter = Jitter(pixels=0, scale=(1, 1), degrees=0, after=0, padding=16)
    image = torch.rand(1, 1, 9, 12)
    padded = torch.nn.functional.pad(image, [16] * 4, value=0.5)
    assert torch.allclose(jitter(image, torch.Generator()), padded, atol=1e-5)
    for fixed, expected in ((False, 60), (True, 28)):
        seen.clear()
        found = maximize(Watched(network(fixed)), logit(0), (1, 28, 28), "garriga", steps=3)
        assert seen[-2] == expected and seen[-1] == 28 and found.height > found.start


def test_units_stuck_at_zero_are_skipped_by_the_recipe_that_says_so():
    net = network()
    with torch.no_grad():
        net[0].bias += torch.tensor([2, 2, -100, 2])  # a recipe that tries no louder noise
    found = maximize(net, channel("1", range(4)), (1, 12, 12), "lees", steps=100)
    assert found.dead == ["1[2]"] and found.steps[2] == 64


@pytest.mark.parametrize("channels, size, side", [(1, 28, 28), (3, 20, 20), (3, 48, 32)])
def test_an_autoencoder_learns_its_images_and_its_decoder_is_a_prior(channels, size, side):
    from cnnaudit.training import fit_autoencoder

    draw = torch.Generator().manual_seed(0)
    kinds = torch.rand(4, channels, 4, 4, generator=draw)  # four blurry images, brighter and darker
    images = torch.nn.functional.interpolate(kinds, (size, size), mode="bilinear").repeat(24, 1, 1, 1)
    images = images * torch.rand(96, 1, 1, 1, generator=draw)
    options = {"code": 8, "hidden": 32, "batch_size": 8, "learning_rate": 5e-3}
    data = images, torch.zeros(96)
    one, same, other = (fit_autoencoder(data, epochs=1, seed=seed, **options).decoder[2].bias for seed in (0, 0, 1))
    assert torch.allclose(one, same, atol=1e-5) and not torch.allclose(one, other, atol=1e-3)
    first = fit_autoencoder(data, epochs=25, **options)
    assert first.shape == (channels, side, side)
    pixels = channels * side**2
    assert sum(p.numel() for p in first.parameters()) == 2 * 32 * pixels + 2 * 32 * 8 + 2 * 32 + 8 + pixels
    small = torch.nn.functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    assert (first(small) - small).square().mean() < 0.5 * (small - small.mean(0)).square().mean()

    net = nn.Sequential(nn.Conv2d(channels, 4, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    prior = learned_prior(first)
    found = maximize(net, channel("0", range(4)), (channels, size, size), prior, steps=60)
    assert found.images.shape[2:] == (size, size) and (found.height > found.start).all()
    codes = Decoded(first).encode(found.images)
    assert (codes >= first.lowest).all() and (codes <= first.highest).all()
    assert all(p.grad is None for p in first.parameters())


def test_a_wrong_shape_of_an_autoencoder_is_told():
    from cnnaudit.models.autoencoder import Autoencoder

    with pytest.raises(ModelError, match="shape"):
        Autoencoder((28, 28))


def test_images_of_the_data_set_are_compared_and_none_is_changed():
    net, images = network(), torch.rand(70, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found = maximize(net, logit(range(3)) - 0.1 * channel("0", 1), (1, 28, 28), "examples", start=images)
    with torch.no_grad():
        scores = net(images) - 0.1 * net[0](images)[:, 1].mean((1, 2))[:, None]
    assert np.allclose(found.height, scores.amax(0), atol=1e-5)
    assert torch.equal(found.images, images[scores.argmax(0)]) and (found.steps == 0).all()
    for start in (None, images[:0], images[..., :9]):
        with pytest.raises(AuditError, match="examples"):
            maximize(net, logit(0), (1, 28, 28), "examples", start=start)


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"examples"}))
def test_every_recipe_starts_from_noise_gray_or_an_image(name):
    """From gray and noise every goal rises; an image that the recipe only smooths away is given back, not lost."""
    gray, image = torch.full((1, 1, 28, 28), 0.5), torch.rand(1, 1, 28, 28)
    net = network(fixed=True)
    for start in (None, gray, image):
        found = maximize(net, logit(range(3)), (1, 28, 28), name, start=start, steps=16)
        with torch.no_grad():
            reached = net(found.images).diagonal().numpy()
        assert np.allclose(reached, found.height, atol=1e-5) and (found.height >= found.start).all()
        if start is not image:
            assert (found.height > found.start).all()
        else:
            assert (found.height > found.start).any()
