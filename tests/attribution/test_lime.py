"""LIME against the package whose definition it follows, and where the weights are known."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.attribution import draw_lime_panels, lime, lime_explanation, lime_panels
from cnnaudit.attribution._lime import LimeExplanation
from cnnaudit.core.errors import AuditError, DataError, UnsupportedError

pytest.importorskip("lime")


def quarters(colors: tuple[float, ...] = (0.1, 0.9, 0.6, 0.35), size: int = 16) -> torch.Tensor:
    """A gray image of four flat quarters, as (3, size, size)."""
    image, half = torch.empty(3, size, size), size // 2
    for k, color in enumerate(colors):
        image[:, (k // 2) * half : (k // 2 + 1) * half, (k % 2) * half : (k % 2 + 1) * half] = color
    return image


def photograph(size: int = 48) -> torch.Tensor:
    """Smooth blobs of color with a little noise, (3, size, size)."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(1, 3, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(coarse, (size, size), mode="bicubic")[0].clamp(0, 1)
    return (smooth + 0.05 * torch.randn(3, size, size, generator=generator)).clamp(0, 1)


def network(size: int, classes: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
        net = nn.Sequential(*layers, nn.Linear(96, classes)).eval()
        net[-1].weight.data *= 10
        return net


class Share(nn.Module):
    """Probabilities that are linear in the image: that of class 0 is the weighted mean of the pixels."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        probability = (images.double() * self.weights).sum((1, 2, 3)).clamp(min=1e-9)
        return torch.stack([probability, 1 - probability], 1).log()


@pytest.mark.parametrize("hidden", [None, 0.0])
def test_the_weights_are_those_of_the_package(hidden: float | None) -> None:
    from lime.lime_image import LimeImageExplainer

    net, image = network(48), photograph()

    def classify(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.as_tensor(images).permute(0, 3, 1, 2).float()).double().softmax(1).numpy()

    theirs = LimeImageExplainer(random_state=4).explain_instance(
        image.permute(1, 2, 0).double().numpy(), classify, labels=(1,), top_labels=None, num_samples=60,
        hide_color=hidden, random_seed=4,
    )  # fmt: skip
    ours = lime_explanation(net, image, 1, samples=60, seed=4, fill=hidden)
    assert np.array_equal(ours.segments, theirs.segments) and ours.segments.max() > 3
    weights = dict(theirs.local_exp[1])
    assert np.abs(ours.weights).max() > 1e-3
    assert ours.weights[0] == pytest.approx([weights[k] for k in range(len(weights))], abs=1e-6)
    assert ours.intercepts[0] == pytest.approx(theirs.intercept[1], abs=1e-6)
    assert ours.fit[0] == pytest.approx(theirs.score, abs=1e-6)


def test_a_model_that_is_linear_in_the_superpixels_is_recovered() -> None:
    image = quarters()
    shares = torch.tensor([0.1, 0.4, 0.2, 0.3]).view(2, 2).repeat_interleave(8, 0).repeat_interleave(8, 1) / (3 * 64)
    found = lime_explanation(Share(shares), image, 0, samples=6000, segmentation="felzenszwalb", fill=0.0)
    assert found.segments.max() == 3
    terms = (shares * image).sum(0).numpy()
    expected = [terms[found.segments == k].sum() for k in range(4)]
    assert found.weights[0] == pytest.approx(expected, rel=0.02)  # the ridge shrinks a little
    assert found.fit[0] > 0.99
    assert found.probabilities[0] == pytest.approx(sum(expected), abs=1e-6)


def test_two_classes_on_one_image_are_explained_by_the_same_samples() -> None:
    net, image = network(48, classes=2), photograph()
    both = lime_explanation(net, image, [1, 0], samples=80)
    assert both.classes == (1, 0)
    assert both.weights[0] == pytest.approx(-both.weights[1])
    assert np.array_equal(both.weights[0], lime_explanation(net, image, 1, samples=80).weights[0])
    assert np.array_equal(both.pixels(0), both.weights[1][both.segments])
    assert lime_explanation(net, image, samples=10).classes == (int(net(image[None]).argmax()),)


def test_the_seed_fixes_the_answer_whatever_the_batch() -> None:
    net, images = network(48), torch.stack([photograph(), photograph().flip(2), photograph().flip(1)])
    found = lime(net, images, 1, samples=40, seed=7)
    assert found.shape == images.shape and found.dtype == torch.float32
    assert torch.allclose(
        found, lime(net, images, torch.tensor([1, 1, 1]), samples=40, seed=7, batch_size=3), atol=1e-6
    )
    assert torch.allclose(found[1:2], lime(net, images[1:2], 1, samples=40, seed=7), atol=1e-6)
    assert not torch.allclose(found, lime(net, images, 1, samples=40, seed=8), atol=1e-6)
    drawn = [lime(net, images[:1], 1, samples=40, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert drawn[0].equal(drawn[1])
    assert np.array_equal(
        lime_explanation(net, images[0], 1, samples=40, seed=7).pixels().astype(np.float32), found[0, 2].numpy()
    )


def test_hidden_superpixels_show_their_mean() -> None:
    from cnnaudit.attribution._lime import _Masked

    image, segments = photograph(8)[None], np.arange(64).reshape(8, 8) // 16
    shown = np.array([[1, 1, 1, 1], [0, 1, 0, 1]])
    whole, half = _Masked(image, segments, shown, None)(torch.arange(2), image)
    assert whole.equal(image[0]) and half[:, 2:4].equal(image[0, :, 2:4])
    means = image[0, :, :2].mean((1, 2), keepdim=True).expand(3, 2, 8)
    assert torch.allclose(half[:, :2], means)


def test_gray_images_and_other_segmentations() -> None:
    gray = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 3)).eval()
    assert lime(net, gray, 0, samples=30, segmentation="slic").shape == (2, 1, 28, 28)
    found = lime_explanation(net, gray[0], 0, samples=30, segmentation="slic")
    assert found.segments.shape == (28, 28) and found.segments.min() == 0
    assert sorted(set(found.segments.ravel().tolist())) == list(range(found.weights.shape[1]))


def explained() -> tuple[torch.Tensor, LimeExplanation]:
    """Sixteen stripes with weights .31, -.26, .21, -.16, … on a gray image."""
    segments = np.repeat(np.arange(16), 4)[:, None].repeat(8, 1)
    weights = np.array([(-1) ** k * max(0.31 - 0.05 * k, 0.01 - 1e-4 * k) for k in range(16)])
    shape = np.zeros(1)
    found = LimeExplanation(segments, (4,), weights[None], shape, shape + 0.8, shape + 0.5, 0, 100)
    return torch.full((1, 64, 8), 0.2), found


def test_five_panels_show_what_their_titles_say() -> None:
    image, found = explained()
    panels = lime_panels(image, found)
    assert panels.shape == (5, 64, 8, 3) and panels.min() >= 0 and panels.max() <= 1
    middles = panels[:, 1::4, 3]  # (5, 16, 3): a pixel inside each stripe
    assert np.allclose(middles[0], 0.2)
    positive = [0, 2, 4, 6, 8]
    shown = [bool(np.allclose(color, 0.2)) for color in middles[1]]
    assert [k for k in range(16) if shown[k]] == positive
    assert np.allclose(np.delete(middles[1], positive, 0), 0.5)  # hidden: gray
    assert np.allclose(middles[2], 0.2)
    green, red = (middles[3][:, 1] > 0.3), (middles[3][:, 0] > 0.3)
    assert np.flatnonzero(green).tolist() == [0, 2, 4, 6, 8] and np.flatnonzero(red).tolist() == [1, 3, 5, 7, 9]
    strong = np.flatnonzero(~np.isclose(middles[4], 0.2).all(1))
    assert strong.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(AuditError, match=r"class 3 was not explained; these were: \(4,\)"):
        lime_panels(image, found, 3)


def test_the_panels_are_drawn() -> None:
    image, found = explained()
    assert draw_lime_panels(image, found, {4: "stripes"})[1:4] == b"PNG"


def test_the_model_is_left_as_it_was() -> None:
    net, image = network(48).train(), photograph()
    state, drawn, legacy = (
        copy.deepcopy(net.state_dict()),
        torch.random.get_rng_state(),
        np.random.get_state()[1].copy(),
    )
    lime(net, image[None], 1, samples=20)
    assert net.training and all(value.equal(state[key]) for key, value in net.state_dict().items())
    assert torch.random.get_rng_state().equal(drawn) and np.array_equal(np.random.get_state()[1], legacy)


def test_bad_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net, image = network(48), photograph()
    with pytest.raises(UnsupportedError, match="felzenszwalb finds a single segment in this image of 48 x 48"):
        lime_explanation(net, torch.full((3, 48, 48), 0.5), 0, segmentation="felzenszwalb")
    with pytest.raises(DataError, match=r"expected pixels in \[0, 1\], got 0 to 255"):
        lime(net, _stretched(image)[None], 0)
    with pytest.raises(DataError, match="NaN"):
        lime(net, image[None] * float("nan"), 0)
    with pytest.raises(UnsupportedError, match="gray or color"):
        lime(net, torch.rand(1, 4, 48, 48), 0)
    with pytest.raises(AuditError, match="class_index 3 is out of range: the model has classes 0 to 2"):
        lime_explanation(net, image, 3)
    with pytest.raises(AuditError, match="samples >= 2, got 1"):
        lime_explanation(net, image, 0, samples=1)
    with pytest.raises(AuditError, match="segmentation is one of quickshift, slic, felzenszwalb, got 'voronoi'"):
        lime_explanation(net, image, 0, segmentation="voronoi")
    with pytest.raises(DataError, match="expected one image"):
        lime_explanation(net, torch.stack([image, image]), 0)
    monkeypatch.setitem(sys.modules, "lime.wrappers.scikit_image", None)
    with pytest.raises(UnsupportedError, match=r'pip install "cnnaudit\[lime\]"'):
        lime(net, image[None], 0)


def _stretched(image: torch.Tensor) -> torch.Tensor:
    image = image.clone()
    image[0, 0, 0], image[0, 0, 1] = 0, 255
    return image
