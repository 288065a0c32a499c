"""Changes of images against closed forms: a ramp of gray stays a ramp, a whole-pixel shift is an index."""

import numpy as np
import pytest
import torch

from cnnaudit.checks.behavior._perturbations import VARIATIONS, add_noise, invert, rotate, shift, zoom

RAMP = 1e-3  # torch's bicubic kernel (a = -0.75) bends a ramp of 0.01 per pixel by up to that much


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def ramp(height, width, across, down):
    """0.5 + across * x + down * y, in pixels about the center, x to the right and y down."""
    y, x = np.mgrid[:height, :width]
    image = 0.5 + across * (x - (width - 1) / 2) + down * (y - (height - 1) / 2)
    return torch.tensor(image, dtype=torch.float32)[None, None]


def inner(images, margin=6):
    return images[..., margin:-margin, margin:-margin]


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_quarter_turns_are_exact(quarter_turns):
    images = random(2, 3, 9, 9)
    turned = rotate(images, torch.full((2,), 90.0 * quarter_turns))
    torch.testing.assert_close(turned, images.rot90(quarter_turns, (2, 3)), atol=1e-5, rtol=0)


def test_half_a_turn_of_an_oblong_image():
    images = random(1, 1, 6, 10)
    torch.testing.assert_close(rotate(images, torch.tensor([180.0])), images.flip(2, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(32, 32), (28, 40)])
@pytest.mark.parametrize("degrees", [-20.0, 5.0, 33.0])
def test_a_turned_ramp_is_the_ramp_in_the_turned_direction(shape, degrees):
    angle = np.deg2rad(degrees)
    # content at (x, y) moves to (x cos + y sin, -x sin + y cos): counter-clockwise, with y downwards
    turned = rotate(ramp(*shape, 0.01, 0.004), torch.tensor([degrees]))
    across, down = 0.01 * np.cos(angle) + 0.004 * np.sin(angle), -0.01 * np.sin(angle) + 0.004 * np.cos(angle)
    torch.testing.assert_close(inner(turned, 9), inner(ramp(*shape, across, down), 9), atol=RAMP, rtol=0)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.7])
def test_a_ramp_shown_larger_is_flatter(factor):
    shown = zoom(ramp(30, 24, 0.01, -0.005), torch.tensor([factor]))
    torch.testing.assert_close(inner(shown), inner(ramp(30, 24, 0.01 / factor, -0.005 / factor)), atol=RAMP, rtol=0)


@pytest.mark.parametrize("offset", [(0, 0), (2, -1), (-3, 3), (5, 0)])
def test_a_shift_is_a_window_of_the_mirrored_image(offset):
    images = random(1, 3, 6, 8)
    down, right = offset
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (6, 6), (6, 6)), mode="symmetric")
    expected = padded[:, :, 6 - down : 12 - down, 6 - right : 14 - right]
    np.testing.assert_array_equal(shift(images, torch.tensor([offset])).numpy(), expected)


def test_each_image_has_its_own_change():
    images = random(3, 1, 8, 8)
    offsets = torch.tensor([[1, 0], [0, 2], [-1, -1]])
    one_by_one = [shift(image[None], offset[None]) for image, offset in zip(images, offsets, strict=True)]
    assert torch.equal(shift(images, offsets), torch.cat(one_by_one))


def test_noise_has_the_asked_deviation_and_stays_in_range():
    gray = torch.full((2, 1, 100, 100), 0.5)
    noisy = add_noise(gray, torch.tensor([0.05, 0.1]), torch.Generator().manual_seed(0))
    np.testing.assert_allclose(noisy.std(dim=(1, 2, 3)).numpy(), [0.05, 0.1], rtol=0.03)
    wild = add_noise(gray, torch.tensor([2.0, 2.0]), torch.Generator().manual_seed(0))
    assert wild.min() >= 0 and wild.max() <= 1


def test_inversion_is_its_own_inverse():
    images = random(2, 3, 4, 4)
    torch.testing.assert_close(invert(invert(images)), images)


def draws(name, limit, n=400):
    images = random(n, 1, 12, 12)
    kept = images.clone()
    before = torch.random.get_rng_state()
    changed, magnitudes = VARIATIONS[name].apply(images, limit, torch.Generator().manual_seed(1))
    again, _ = VARIATIONS[name].apply(images, limit, torch.Generator().manual_seed(1))
    assert torch.equal(images, kept) and torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(changed, again) and changed.shape == images.shape
    assert changed.min() >= 0 and changed.max() <= 1
    return images, changed, magnitudes


@pytest.mark.parametrize(("name", "limit"), [("rotation", 30.0), ("noise", 0.4), ("translation", 5.0)])
def test_magnitudes_lie_in_the_upper_half_of_the_claim(name, limit):
    _, _, magnitudes = draws(name, limit)
    size = magnitudes.abs()
    assert limit / 2 <= size.min() <= 0.6 * limit and 0.95 * limit < size.max() <= limit
    if name == "rotation":
        assert 0.4 < float((magnitudes > 0).float().mean()) < 0.6


def test_factors_are_larger_and_smaller_alike():
    _, _, factors = draws("scale", 2.0)
    assert (factors.log2().abs() >= 0.5 - 1e-6).all() and (factors.log2().abs() <= 1 + 1e-6).all()
    assert 0.4 < float((factors > 1).float().mean()) < 0.6


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_shifts_stay_within_the_claim_and_are_never_none(limit):
    images, changed, _ = draws("translation", float(limit))
    every = [(r, c) for r in range(-limit, limit + 1) for c in range(-limit, limit + 1)]
    found = set()
    for image, moved in zip(images, changed, strict=True):
        fits = [o for o in every if torch.equal(shift(image[None], torch.tensor([o])), moved[None])]
        assert len(fits) == 1
        found.add(fits[0])
    assert found == {(r, c) for r, c in every if max(abs(r), abs(c)) >= max(1, (limit + 1) // 2)}
