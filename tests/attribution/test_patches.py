"""Patched tensors against the ordinary pass on whole tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from cnnaudit.attribution import patched_tensor
from cnnaudit.attribution.patched_tensor import Patched, patched
from cnnaudit.attribution.patches import Box, union

SIDE, CHANNELS = 11, 3


def rows(height: int, width: int, side: int = SIDE) -> tuple[torch.Tensor, Patched, torch.Tensor]:
    """Two images, every window of that size on both as patched rows, and the same rows as whole images."""
    generator = torch.Generator().manual_seed(height * 100 + width)
    images = torch.randn(2, CHANNELS, side, side, generator=generator)
    top, left = (a.ravel() for a in np.meshgrid(np.arange(side - height + 1), np.arange(side - width + 1)))
    owner = torch.arange(2).repeat_interleave(len(top))
    top, left = np.tile(top, 2), np.tile(left, 2)
    patch = torch.randn(len(top), CHANNELS, height, width, generator=generator)
    whole = images[owner].clone()
    for row, (y, x) in enumerate(zip(top, left)):
        whole[row, :, y : y + height, x : x + width] = patch[row]
    return images, patched(images, owner, top, left, patch), whole


def weights(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


FOLLOWED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "conv": lambda x: F.conv2d(x, weights(4, 3, 3, 3), weights(4)),
    "padded": lambda x: torch.conv2d(x, weights(4, 3, 3, 3), None, 1, 1),
    "strided": lambda x: F.conv2d(x, weights(4, 3, 3, 3), None, 2, 1),
    "stride beyond the kernel": lambda x: F.conv2d(x, weights(4, 3, 1, 1), None, 3),
    "uneven": lambda x: F.conv2d(x, weights(4, 3, 2, 5), None, (1, 2), (1, 2)),
    "dilated": lambda x: F.conv2d(x, weights(4, 3, 3, 3), None, 1, 2, 2),
    "depthwise same": lambda x: F.conv2d(x, weights(3, 1, 3, 3), padding="same", groups=3),
    "maximum": lambda x: F.max_pool2d(x, 3, 2, 1),
    "maximum, rounded up": lambda x: F.max_pool2d(x, 2, ceil_mode=True),
    "average": lambda x: F.avg_pool2d(x, 3, 1, 1),
    "average, own divisor": lambda x: F.avg_pool2d(x, 2, 2, 1, divisor_override=3),
    "zeros around": lambda x: F.pad(x, (1, 2, 0, 3)),
    "value around": lambda x: F.pad(x, (1, 0, 2, 0), value=5.0),
    "replicated": lambda x: F.pad(x, (1, 2, 3, 1), mode="replicate"),
    "mirrored": lambda x: F.pad(x, (3, 2, 1, 4), mode="reflect"),
    "batch norm": lambda x: F.batch_norm(x, weights(3), weights(3) ** 2, weights(3), weights(3)),
    "prelu": lambda x: F.prelu(x, weights(3)),
    "silu": F.silu,
    "normalized": lambda x: (x - weights(3, 1, 1)) / weights(1, 3, 1, 1),
    "scaled": lambda x: 2 - x * 3,
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "half": lambda x: x.double(),
    "in place": lambda x: F.relu(x * 1, inplace=True),
    "padded, then changed in place": lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)).relu_(), 3, 1) + x,
    "residual": lambda x: F.conv2d(x, weights(3, 3, 3, 3), padding=1) + x,
    "joined": lambda x: torch.cat([F.max_pool2d(x, 3, 1, 1), x, F.conv2d(x, weights(1, 3, 5, 5), padding=2)], 1),
    "maximum of two": lambda x: torch.maximum(x, F.avg_pool2d(x, 3, 1, 1)),
}


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (4, 4)])
@pytest.mark.parametrize("name", FOLLOWED)
def test_followed_functions_give_the_values_of_the_whole_pass(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patched_tensor, "MOST", 2.0)  # never give up, whatever the box covers
    _, known, whole = rows(*size)
    found, expected = FOLLOWED[name](known), FOLLOWED[name](whole)
    assert isinstance(found, Patched) and found.part is not None, "it was not followed"
    assert found.shape == expected.shape and found.dtype == expected.dtype
    assert torch.allclose(found.whole(), expected, atol=1e-5)


WHOLE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean": lambda x: x.mean((2, 3)),
    "flatten": lambda x: torch.flatten(x, 1) @ weights(SIDE * SIDE * CHANNELS, 2),
    "view": lambda x: x.view(x.size(0), -1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, 3),
    "average without its padding": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "average, rounded up": lambda x: F.avg_pool2d(x, 2, ceil_mode=True),
    "indices": lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
    "transposed": lambda x: F.conv_transpose2d(x, weights(3, 2, 2, 2), stride=2),
    "group norm": lambda x: F.group_norm(x, 3),
    "cropped": lambda x: F.pad(x, (-1, 0, 2, -3)),
    "a map over the plane": lambda x: x + weights(1, 3, SIDE, SIDE),
    "a constant for each row": lambda x: x * x.mean((2, 3), keepdim=True),
    "joined rows": lambda x: torch.cat([x, x], 0),
    "compared": lambda x: x * (x > 0),
    "batch statistics": lambda x: F.batch_norm(x, None, None, training=True),
}


@pytest.mark.parametrize("name", WHOLE)
def test_every_other_function_is_given_the_whole_tensor(name: str) -> None:
    _, known, whole = rows(2, 3)
    found = WHOLE[name](known)
    assert not isinstance(found, Patched)
    assert torch.allclose(found, WHOLE[name](whole), atol=1e-4)


def test_a_change_through_a_view_reaches_the_tensor() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = F.conv2d(x, weights(4, 3, 3, 3), padding=1)
        y[:, :2].relu_()
        y[:, 3] = 0
        return y + 1

    _, known, whole = rows(3, 3)
    assert torch.allclose(function(known), function(whole), atol=1e-5)


def test_a_result_that_is_dropped_has_changed_the_tensor() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        x = F.conv2d(x, weights(3, 3, 3, 3), padding=1)
        y = x
        F.relu(x, True)
        x += 1
        x.mul_(2)
        return y

    _, known, whole = rows(2, 2)
    found = function(known)
    assert isinstance(found, Patched) and found.part is not None
    assert torch.allclose(found.whole(), function(whole), atol=1e-5)


def test_a_box_that_covers_most_of_the_plane_ends_it() -> None:
    _, known, whole = rows(9, 9)
    found = F.conv2d(known, weights(4, 3, 3, 3))
    assert not isinstance(found, Patched)
    assert torch.allclose(found, F.conv2d(whole, weights(4, 3, 3, 3)), atol=1e-5)


def test_union_holds_every_box_in_the_plane() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        boxes = []
        for _ in range(3):
            height, width = generator.integers(1, 9, 2)
            boxes.append(
                Box(generator.integers(0, 11 - height, 6), generator.integers(0, 11 - width, 6), height, width)
            )
        around = union(boxes, 10, 10)
        assert (around.top >= 0).all() and (around.top + around.height <= 10).all()
        for box in boxes:
            assert (around.top <= box.top).all() and (around.top + around.height >= box.top + box.height).all()
            assert (around.left <= box.left).all() and (around.left + around.width >= box.left + box.width).all()
