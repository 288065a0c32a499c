"""Copies: what counts as one, and what does not."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from cnnaudit.checks.dataset._duplicates import SIMILAR, Twins, copy_shares, describe, find_twins, repeats
from cnnaudit.checks.dataset._scan import Scan, fingerprint, shrink


def scanned(images, labels=None, share=1.0):
    n = len(images)
    labels = np.zeros(n, dtype=np.int64) if labels is None else np.asarray(labels)
    return Scan(np.arange(n), labels, shrink(images), fingerprint(images), share)


def scenes(n, side=96, seed=0):
    """Smooth color images with some detail, as photographs have."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        functional.interpolate(torch.randn(n, 3, size, size, generator=generator), size=side, mode="bilinear") / weight
        for size, weight in ((4, 1), (12, 2), (48, 6))
    ]
    return (0.5 + 0.2 * sum(layers)).clamp(0, 1)


def jpeg(images, quality):
    saved = []
    for image in (images * 255).round().byte():
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
        saved.append(torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1))
    return torch.stack(saved).float() / 255


ALTERED = {
    "saved as JPEG": lambda images: jpeg(images, 60),
    "darker": lambda images: 0.8 * images,
    "mirrored": lambda images: images.flip(3),
    "noisy": lambda images: (images + 0.02 * torch.randn_like(images)).clamp(0, 1),
    "half the size and back": lambda images: functional.interpolate(
        functional.avg_pool2d(images, 2), scale_factor=2, mode="bilinear"
    ),
}


def test_similarity_is_the_mean_of_two_correlations():
    thumbnails = shrink(scenes(2, side=16))
    gray = np.einsum("nchw,c->nhw", thumbnails / 255, [0.299, 0.587, 0.114])
    padded = np.pad(gray, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    details = gray - np.nanmean(windows, axis=(3, 4))
    expected = [np.corrcoef(part[0].ravel(), part[1].ravel())[0, 1] for part in (gray, details)]
    described = describe(thumbnails)
    assert float(described[0] @ described[1]) == pytest.approx(np.mean(expected), abs=1e-5)


def test_the_same_pixels_are_exact_twins():
    images = scenes(6)
    twins = find_twins(scanned(images[:2]), scanned(images[[5, 1, 0]]))
    assert twins.exact.tolist() == [True, True]
    assert not twins.near.any()
    assert twins.partner.tolist() == [2, 1]


@pytest.mark.parametrize("change", ALTERED)
def test_altered_copies_are_near_twins(change):
    images = scenes(20)
    twins = find_twins(scanned(images), scanned(ALTERED[change](images)))
    assert twins.near.all(), twins.similarity.min()
    assert not twins.exact.any()
    assert twins.partner.tolist() == list(range(20))


def test_strangers_are_no_twins():
    twins = find_twins(scanned(scenes(50)), scanned(scenes(200, seed=1)))
    assert not (twins.exact | twins.near).any()


def test_a_common_background_makes_no_twins():
    vignette = torch.linspace(0, 0.6, 96)[None, None, :, None].expand(40, 3, 96, 96)
    images = vignette + 0.1 * (scenes(40) - 0.5) + 0.2
    thumbnails = shrink(images).reshape(40, -1).astype(float)
    assert np.corrcoef(thumbnails)[0, 1] > SIMILAR - 0.01
    twins = find_twins(scanned(images[:20]), scanned(images[20:]))
    assert not twins.near.any()


@pytest.mark.parametrize("side", [4, 32])
def test_blank_and_tiny_images_have_exact_twins_only(side):
    gray = torch.full((2, 1, side, side), 0.5)
    gray[1] += 2 / 255
    twins = find_twins(scanned(gray[:1]), scanned(gray[1:]))
    assert not (twins.exact | twins.near).any()
    assert find_twins(scanned(gray[:1]), scanned(gray[:1].clone())).exact.all()


def test_a_census_has_no_interval_and_a_sample_has_one():
    images = scenes(40)
    labels = np.repeat([0, 1], 20)
    copied = np.arange(40) < 5
    twins = Twins(copied, np.zeros(40, dtype=bool), copied.astype(float), np.zeros(40, dtype=int))
    whole = copy_shares(twins, scanned(images, labels), scanned(images), 0.95)
    assert whole.share.tolist() == whole.low.tolist() == whole.high.tolist() == [0.25, 0]
    half = copy_shares(twins, scanned(images, labels), scanned(images, share=0.5), 0.95)
    assert half.share.tolist() == [0.5, 0]  # half of the copies were looked for
    assert (half.low < half.share).tolist() == [True, False]
    assert (half.high > half.share).all()


def test_repeats_counts_all_but_the_first():
    assert repeats(np.array(["a", "b", "a", "a"])) == 0.5
