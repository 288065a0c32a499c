"""Copies: what counts as one, what does not, and how many there are."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from asking import make, one
from PIL import Image
from scipy import ndimage, stats
from torch.nn import functional

from cnnaudit.checks.dataset._leakage_copies import Copies, find_copies, strangers_beyond
from cnnaudit.checks.dataset._leakage_similarity import aligned_similarity, gray, spectrum
from cnnaudit.checks.dataset.leakage import copy_shares, true_share
from cnnaudit.checks.scan import Scan, fingerprint, shrink
from cnnaudit.core.profiles import Profile
from cnnaudit.target import AuditTarget


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


def cropped(images, pixels):
    inner = images[..., pixels:-pixels, pixels:-pixels]
    return functional.interpolate(inner, size=images.shape[2:], mode="bilinear", antialias=True)


ALTERED = {
    "saved as JPEG": lambda images: jpeg(images, 60),
    "darker": lambda images: 0.8 * images,
    "mirrored": lambda images: images.flip(3),
    "noisy": lambda images: (images + 0.02 * torch.randn_like(images)).clamp(0, 1),
    "half the size and back": lambda images: functional.interpolate(
        functional.avg_pool2d(images, 2), scale_factor=2, mode="bilinear"
    ),
    "shifted by a pixel": lambda images: functional.pad(images, (1, 0, 0, 0), mode="replicate")[..., :-1],
    "shifted by two pixels": lambda images: functional.pad(images, (0, 0, 2, 0), mode="replicate")[..., :-2, :],
    "saved as JPEG 20": lambda images: jpeg(images, 20),
    "a quarter turn": lambda images: torch.rot90(images, 1, (2, 3)),
    "a half turn": lambda images: torch.rot90(images, 2, (2, 3)),
    "a quarter turn, mirrored": lambda images: torch.rot90(images, 1, (2, 3)).flip(3),
    **{f"cropped by {c}": lambda images, c=c: cropped(images, c) for c in (1, 2, 4)},
}


def correlation_of_details(first, second):
    details = [ndimage.gaussian_filter(g, 0.7, truncate=2.5, mode="nearest") for g in (first, second)]
    details = [
        d - ndimage.gaussian_filter(g, 2, truncate=2.5, mode="nearest") for d, g in zip(details, (first, second))
    ]
    best = -1
    for down in range(-2, 3):
        for right in range(-2, 3):
            inner = details[0][4:-4, 4:-4]
            other = details[1][4 + down : 28 + down, 4 + right : 28 + right]
            best = max(best, np.corrcoef(inner.ravel(), other.ravel())[0, 1])
    return best


def test_similarity_is_the_largest_correlation_of_details_over_shifts():
    images = scenes(2, side=32)
    pair = gray(shrink(images))
    weights = np.array([0.299, 0.587, 0.114])
    first, second = np.einsum("nchw,c->nhw", shrink(images) / 255, weights)
    turned = np.rot90(first, 2)
    expected = max(correlation_of_details(one, second) for one in (first, turned))
    found = float(aligned_similarity(pair[:1], pair[1:], 0, False, 0))
    assert found >= expected - 1e-3  # crops may add to it
    moved = np.roll(second, (1, -2), (0, 1))
    again = torch.from_numpy(moved)[None, None].float()
    assert float(aligned_similarity(again, pair[1:], 0, False, 0)) == pytest.approx(1, abs=0.05)


def test_spectra_do_not_see_half_turns_and_hardly_see_shifts():
    images = gray(shrink(scenes(40, side=32)))
    own = spectrum(images)
    torch.testing.assert_close(spectrum(torch.rot90(images, 2, (2, 3))), own, atol=1e-4, rtol=1e-4)
    shifted = spectrum(functional.pad(images, (2, 0, 2, 0), mode="replicate")[..., :-2, :-2])
    assert ((shifted @ own.T).argmax(dim=1) == torch.arange(40)).all()


def test_the_same_pixels_are_exact_copies():
    images = scenes(6)
    copies = find_copies(scanned(images[:2]), scanned(images[[5, 1, 0, 1]]))
    assert copies.exact.tolist() == [True, True]
    assert not copies.near.any()
    assert copies.partner.tolist() == [2, 1]
    assert copies.count.tolist() == [1, 2]


@pytest.mark.parametrize("change", ALTERED)
@pytest.mark.parametrize("side", [32, 96])
def test_altered_copies_are_near_copies(change, side):
    if side == 32 and change in ("half the size and back", "saved as JPEG 20"):
        pytest.skip("too little is left of 32 pixels")
    images, others = scenes(30, side), scenes(60, side, seed=1)
    known = torch.cat([others, ALTERED[change](images[:10])])
    copies = find_copies(scanned(images), scanned(known))
    assert copies.near[:10].all(), (copies.similarity[:10], copies.bound[0])
    assert not copies.near[10:].any() and not copies.exact.any()
    assert copies.partner[:10].tolist() == list(range(60, 70))


def test_strangers_are_no_copies():
    copies = find_copies(scanned(scenes(50)), scanned(scenes(200, seed=1)))
    assert not (copies.exact | copies.near).any()


def test_a_common_background_makes_no_copies():
    vignette = torch.linspace(0, 0.6, 96)[None, None, :, None].expand(40, 3, 96, 96)
    images = vignette + 0.1 * (scenes(40) - 0.5) + 0.2
    thumbnails = shrink(images).reshape(40, -1).astype(float)
    assert np.corrcoef(thumbnails)[0, 1] > 0.985
    copies = find_copies(scanned(images[:20]), scanned(images[20:]))
    assert not copies.near.any()


@pytest.mark.parametrize("side", [4, 32])
def test_blank_and_tiny_images_have_exact_copies_only(side):
    gray = torch.full((2, 1, side, side), 0.5)
    gray[1] += 2 / 255
    copies = find_copies(scanned(gray[:1]), scanned(gray[1:]))
    assert not (copies.exact | copies.near).any()
    assert find_copies(scanned(gray[:1]), scanned(gray[:1].clone())).exact.all()


def test_images_that_are_not_square_are_mirrored_and_not_turned():
    images = scenes(20)[..., :48]
    copies = find_copies(scanned(images), scanned(images.flip(2)))
    assert copies.near.all()


def counted(counts):
    found = np.asarray(counts) > 0
    none = np.zeros(len(found))
    return Copies(found, np.zeros_like(found), found * 1.0, none.astype(int), np.asarray(counts), found * 1.0, none)


def test_what_resembles_by_chance_is_left_out_of_the_lower_bound():
    """With one stranger expected beyond the bound, six near copies are no proof; six exact copies are."""
    images, near = scanned(torch.zeros(300, 1, 2, 2)), np.arange(300) < 6
    copies = counted(near)
    alike = replace(copies, exact=np.zeros_like(near), near=near, chance=np.full(300, 1 / 300))
    same, other = (copy_shares(found, images, images, 0.997, np.random.default_rng(0)) for found in (copies, alike))
    assert same.low[0] == same.share[0] == other.share[0] == other.high[0] == 0.02
    assert other.strangers[0] == stats.poisson.ppf(0.9985, 1) == 5
    assert other.low[0] == pytest.approx(1 / 300)


@pytest.mark.parametrize("power", [1.0, 3.0, 6.0])
def test_strangers_beyond_the_bound_are_extrapolated(power):
    rng = np.random.default_rng(0)
    found = [strangers_beyond(rng.random(1000) ** (1 / power), 0.01 ** (1 / power)) for _ in range(40)]
    assert np.mean(found) == pytest.approx(10, rel=0.1)
    copied = np.concatenate([rng.random(900) ** (1 / power), np.full(100, 1e-4)])
    assert strangers_beyond(copied, 0.01 ** (1 / power)) == pytest.approx(9, rel=0.5)  # copies have no say
    assert strangers_beyond(np.full(50, 0.9), 0.1) == 0


def test_a_census_has_no_interval_and_a_sample_has_one():
    images = scenes(40)
    labels = np.repeat([0, 1], 20)
    copies = counted(np.arange(40) < 5)
    rng = np.random.default_rng(0)
    whole = copy_shares(copies, scanned(images, labels), scanned(images), 0.95, rng)
    assert whole.share.tolist() == whole.low.tolist() == whole.high.tolist() == [0.25, 0]
    half = copy_shares(copies, scanned(images, labels), scanned(images, share=0.5), 0.95, rng)
    assert half.share.tolist() == [0.5, 0]  # half of the single copies were read
    assert (half.low < half.share).tolist() == [True, False]
    assert (half.high > half.share).all()


@pytest.mark.parametrize(("copies", "read"), [(1, 0.5), (4, 0.5), (4, 0.25), (2, 0.7)])
def test_the_share_is_right_however_many_copies_an_image_has(copies, read):
    rng, truth, n, runs = np.random.default_rng(0), 0.02, 4000, 100
    validation = scanned(torch.zeros(n, 1, 2, 2))
    shares, covered = [], 0
    for _ in range(runs):
        counts = rng.binomial(copies, read, n) * (rng.random(n) < truth)
        found = copy_shares(counted(counts), validation, scanned(torch.zeros(1, 1, 2, 2), share=read), 0.9, rng)
        shares.append(found.share[0])
        covered += found.low[0] <= truth <= found.high[0]
    assert np.mean(shares) == pytest.approx(truth, rel=0.05)
    assert 0.82 <= covered / runs <= 0.97


def test_without_a_copy_the_bound_supposes_single_copies():
    seen = scanned(torch.zeros(400, 1, 2, 2)), scanned(torch.zeros(1, 1, 2, 2), share=0.1)
    found = copy_shares(counted(np.zeros(400, int)), *seen, 0.95, np.random.default_rng(0))
    assert found.low[0] == 0
    assert found.high[0] == pytest.approx(0.062, abs=0.004)  # Jeffreys: 0 of 400 is below .0062; a tenth was read


def test_images_with_different_numbers_of_copies_are_hardly_underestimated():
    half_one_half_eight = np.array([0.5 * 0.5 + 0.5 / 256, 0.25 + 4 / 256, 14 / 256, 0])
    half_one_half_eight[3] = 1 - half_one_half_eight.sum()
    assert 0.9 < true_share(half_one_half_eight, 0.5) < 1


def test_copies_are_shown_beside_the_originals_by_name():
    target = make(np.arange(60) % 3)
    train, labels = (x.numpy() for x in target.sample("train", None))
    validation = target.sample("validation", None)[0].numpy()
    validation[7] = train[31]
    labels = {"train": labels, "validation": np.where(np.arange(60) == 7, labels[31], labels)}
    leaking = AuditTarget.from_arrays(
        "leaking",
        target.model,
        {"train": (train, labels["train"]), "validation": (validation, labels["validation"])},
        classes=target.classes,
    )
    found = one("leakage", leaking)
    assert found.verdict == "fail"
    assert found.statistic == pytest.approx(1 / 20)
    assert found.interval == (found.statistic, found.statistic)
    assert found.summary.startswith("1.7% of the validation images (1 of 60)")
    captions = [image["caption"] for image in found.evidence[0]["images"]]
    assert captions == ["validation[7] (class 1)", "train[31] (class 1): same pixels"]
    assert found.evidence[2]["file"] == "copies.csv"
    assert found.evidence[2]["rows"] == [["validation[7] (class 1)", "train[31] (class 1)", True, 1.0]]


def test_a_split_that_is_read_in_part_gives_an_interval():
    target = make(np.arange(150) % 2, side=100)
    found = one("leakage", target, profile=Profile("quick", 500, 1000, megapixels=1))
    assert found.statistic == 0 < found.interval[1]
    assert "67% of the training images" in found.summary
