"""Backgrounds and contents of drawn images."""

from __future__ import annotations

import torch

from cnnaudit.data.background import backgrounds, content_box, over_background, ring


def test_the_ring_is_the_outermost_pixels():
    assert int(ring(5, 7).sum()) == 2 * 5 + 2 * 7 - 4
    assert not ring(5, 7)[1:-1, 1:-1].any()


def test_data_with_two_backgrounds_keep_both():
    images = torch.ones(2, 1, 9, 9)
    images[1] = 0
    images[:, :, 3:6, 3:6] = 0.5
    images[0, :, :3] = 0.2  # content that covers less than half of the ring
    assert backgrounds(images).flatten().tolist() == [1.0, 0.0]


def test_each_channel_has_its_own_background():
    image = torch.tensor([0.1, 0.5, 0.9])[None, :, None, None].expand(1, 3, 6, 6)
    assert torch.allclose(backgrounds(image), torch.tensor([[0.1, 0.5, 0.9]]))


def test_positions_over_content_are_not_background():
    image = torch.zeros(1, 1, 8, 8)
    image[..., :4, :4] = 1
    found = over_background(image, torch.zeros(1, 1), (2, 2))
    assert found.tolist() == [[[False, True], [True, True]]]


def test_the_box_holds_the_content_with_its_margin():
    image = torch.ones(1, 28, 28)
    image[:, 8:18, 10:16] = 0
    top, bottom, left, right = content_box(image, torch.ones(1))
    assert (top, bottom, left, right) == (8 - 2, 18 + 2, 10 - 2, 16 + 2)


def test_single_noisy_pixels_are_no_content():
    rng = torch.Generator().manual_seed(0)
    image = torch.where(torch.rand(1, 56, 56, generator=rng) < 0.03, 1.0, 0.0)
    image[:, 20:36, 20:36] = 1
    top, bottom, left, right = content_box(image, torch.zeros(1))
    assert top >= 16 and bottom <= 40 and left >= 16 and right <= 40


def test_an_empty_image_has_no_content():
    assert content_box(torch.full((3, 20, 20), 0.4), torch.full((3,), 0.4)) is None
