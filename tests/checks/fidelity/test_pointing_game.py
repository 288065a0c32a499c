"""Contents at random places, and how much of a map stands beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cnnaudit.checks.fidelity._pointing_game import placed, spill


def squares(n: int = 20, size: int = 32) -> torch.Tensor:
    images = torch.full((n, 1, size, size), 0.2)
    images[:, :, 4:28, 6:26] = 0.9
    return images


def test_the_content_lies_in_its_box_on_its_own_background():
    found = placed(squares(), np.random.default_rng(0))
    assert len(found.images) == 20 and found.rows == list(range(20))
    for image, (top, bottom, left, right) in zip(found.images, found.boxes):
        outside = torch.ones(32, 32, dtype=torch.bool)
        outside[top:bottom, left:right] = False
        assert torch.allclose(image[0][outside], torch.tensor(0.2))
        assert image[0][top:bottom, left:right].max() > 0.85
        assert bottom - top <= 16 + 4
    assert len(set(found.boxes)) > 10


def test_images_of_nothing_are_left_out():
    images = squares(3)
    images[1] = 0.5
    assert placed(images, np.random.default_rng(0)).rows == [0, 2]


def test_spill_of_maps_that_know_the_place_and_of_one_that_does_not():
    box = (2, 4, 2, 4)
    inside, outside = torch.zeros(8, 8), torch.ones(8, 8)
    inside[2:4, 2:4] = 5
    outside[2:4, 2:4] = 0
    maps = torch.stack([inside, outside, torch.ones(8, 8), torch.zeros(8, 8)])
    assert spill(maps, [box] * 4).tolist() == [0, 1, 0.5, 0.5]
    double = torch.ones(1, 8, 8)
    double[:, 2:4, 2:4] = 2  # energy 4 to 1
    assert spill(double, [box])[0] == pytest.approx(0.2)
