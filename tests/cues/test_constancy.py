"""Constancy against a slow count, on planted tags and on clean noise."""

import numpy as np
import pytest
import torch

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues import constancy, edge_codes

STEPS = (-0.5, -0.25, -0.08, 0.08, 0.25, 0.5)


def slow_code(image, row, column):
    """The edge code of one pixel, by its definition."""
    height, width = image.shape
    if 0 < row < height - 1 and 0 < column < width - 1:
        area = image[row - 1 : row + 2, column - 1 : column + 2]
        if area.max() - area.min() < 0.04:
            around = image[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
            return (49 if around.max() - around.min() < 0.04 else 57) + min(int(area.min() * 8), 7)
    code = 0
    for down, right in ((0, 1), (1, 0)):
        there = image[min(row + down, height - 1), min(column + right, width - 1)]
        code = 7 * code + sum(step < there - image[row, column] for step in STEPS)
    return code


def test_edge_codes_are_their_definition():
    images = torch.rand(2, 3, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images[0, 1, :4, :5] = 0.7
    codes = edge_codes(images)
    assert codes.dtype == torch.uint8 and codes[0, 1, 1, 1] == 49 + 5 and codes[0, 1, 2, 3] == 57 + 5
    for n, c, row, column in np.ndindex(codes.shape):
        assert int(codes[n, c, row, column]) == slow_code(images[n, c].numpy(), row, column)


def noise(n=60, classes=3, channels=1, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n * classes, channels, size, size, generator=generator), torch.arange(n * classes) % classes


def planted(tag, place, share=1.0, channels=1, seed=0, k=1, classes=3):
    images, labels = noise(channels=channels, seed=seed, classes=classes)
    generator = torch.Generator().manual_seed(seed + 10)
    rows = torch.nonzero((labels == k) & (torch.rand(len(labels), generator=generator) < share)).flatten()
    top, left = place
    images[rows, :, top : top + tag.shape[0], left : left + tag.shape[1]] = tag
    return (images, labels), rows


CHECKER = (torch.arange(9) % 2).float().view(3, 3)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("place", [(0, 0), (3, 4), (13, 13), (0, 13)])
@pytest.mark.parametrize("tag", [CHECKER, torch.ones(3, 3)], ids=["checker", "white"])
def test_a_tag_is_found_with_its_place_and_its_class(tag, place, channels):
    train, validation = planted(tag, place, channels=channels)[0], planted(tag, place, channels=channels, seed=1)[0]
    found = constancy(train, validation, 3)
    assert found.ranked()[0] == 1 and found.value(1) > 0.95
    assert max(found.value(0), found.value(2)) < 0.35
    row, column = found.patterns[1].center
    assert abs(row - place[0] - 1) <= 2 and abs(column - place[1] - 1) <= 2
    assert found.maps.shape == (3, 16, 16)


def test_a_tag_in_half_of_a_class_and_who_carries_it():
    (train, rows), (validation, _) = planted(CHECKER, (3, 4), 0.5), planted(CHECKER, (3, 4), 0.5, seed=1)
    found = constancy(train, validation, 3)
    assert 0.35 < found.value(1) < 0.65
    carriers = torch.nonzero(found.patterns[1].carriers(train[0])).flatten()
    assert set(rows.tolist()) <= set(carriers.tolist())
    assert len(carriers) <= len(rows) + 5


def test_a_tag_in_every_class_is_nobodys():
    splits = []
    for seed in (0, 1):
        images, labels = noise(seed=seed)
        images[:, :, 3:6, 4:7] = CHECKER
        splits.append((images, labels))
    found = constancy(*splits, 3)
    assert max(map(found.value, range(3))) < 0.35


def test_a_tag_in_one_split_only_is_none():
    found = constancy(planted(CHECKER, (3, 4))[0], noise(seed=1), 3)
    assert found.value(1) < 0.35


def test_single_codes_are_counted_as_their_definition_says():
    train, validation = planted(CHECKER, (3, 4), 0.6)[0], planted(CHECKER, (3, 4), 0.6, seed=1)[0]
    found = constancy(train, validation, 3)
    for row, column in ((3, 4), (4, 5), (9, 9)):
        most = 0.0
        for code in set(range(57)) - {24}:
            shares = []
            for images, labels in (train, validation):
                own = np.array([slow_code(image[0].numpy(), row, column) == code for image in images])
                p = [own[labels.numpy() == k].mean() for k in range(3)]
                shares.append(p[1] - max(p[0], p[2]))
            most = max(most, min(shares))
        assert float(found.maps[1, row, column]) == pytest.approx(most, abs=1e-3)


def test_constant_and_tiny_images_have_no_pattern():
    for size in (1, 2, 3, 16):
        images = torch.full((20, 1, size, size), 0.3)
        found = constancy((images, torch.arange(20) % 2), (images, torch.arange(20) % 2), 2)
        assert found.value(0) == found.value(1) == 0


def test_one_class_is_refused_and_absent_classes_are_not_judged():
    images, labels = noise()
    with pytest.raises(UnsupportedError, match="1 of 3 have images"):
        constancy((images, labels * 0), (images, labels), 3)
    assert constancy((images, labels.clamp(max=1)), (images, labels), 3).classes == (0, 1)


def test_many_classes_do_not_explode():
    images = torch.rand(300, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = constancy((images, torch.arange(300)), (images.flip(0), torch.arange(300)), 300)
    assert len(found.classes) == 300
