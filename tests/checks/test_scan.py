"""One look through a split."""

import numpy as np
import torch
from torch import nn

from cnnaudit.checks.scan import fingerprint, scan, shrink, subsample
from cnnaudit.target import AuditTarget


def target(n=90, side=40, classes=3):
    images = torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(n) % classes
    return AuditTarget.from_arrays(
        "demo",
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, classes)),
        {"train": (images, labels)},
        classes=tuple("abc"[:classes]),
    )


def test_every_image_is_read_once_however_often_it_is_asked_for(monkeypatch):
    subject, reads = target(), []
    split = subject.split("train")
    read = split.read
    monkeypatch.setattr(split, "read", lambda indices: reads.extend(indices) or read(indices))
    first = scan(subject, "train", 500)
    assert scan(subject, "train", 500) is first
    assert sorted(reads) == list(range(90))
    assert first.share == 1
    np.testing.assert_array_equal(first.labels, np.arange(90) % 3)


def test_thumbnails_are_area_means():
    images = torch.rand(2, 3, 64, 64)
    expected = images.reshape(2, 3, 32, 2, 32, 2).mean(dim=(3, 5)) * 255
    assert np.abs(shrink(images) - expected.numpy()).max() <= 0.5 + 1e-3


def test_small_images_are_kept_as_they_are():
    pixels = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8)
    np.testing.assert_array_equal(shrink(pixels.float() / 255), pixels.numpy())


def test_a_split_above_the_limit_is_sampled_by_class():
    subject = target(n=1200, side=50)
    seen = scan(subject, "train", 1)  # 400 images of 50 x 50 make a megapixel
    assert len(seen.labels) == 400
    assert seen.share == 1 / 3
    assert np.ptp(np.bincount(seen.labels)) <= 1


def test_fingerprints_are_equal_exactly_where_the_8_bit_pixels_are():
    image = torch.rand(1, 1, 8, 8)
    changed = image.clone()
    changed[0, 0, 3, 3] = (changed[0, 0, 3, 3] + 0.5) % 1
    prints = fingerprint(torch.cat([image, image + 1e-5, changed]).clamp(0, 1))
    assert prints[0] == fingerprint(image.clone())[0]
    assert prints[2] != prints[0]


def test_a_few_of_many_keep_the_classes_shares():
    seen = subsample(scan(target(), "train", None), 30)
    assert np.bincount(seen.labels).tolist() == [10, 10, 10]
    assert seen.share == 1 / 3
