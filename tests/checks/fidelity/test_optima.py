"""Optima against kernels, real images, files and shifts."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from cnnaudit.checks.fidelity._kernel_optimum import first_layer
from cnnaudit.checks.fidelity._neuron_optimum import SIDE, eight_bit, layers_of, moved, optima, size_of
from cnnaudit.core.errors import UnsupportedError


class Normalized(nn.Module):
    """A strided, padded first convolution of colors in another order, shifted and scaled."""

    def __init__(self, rounded: bool = False) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.Linear(5, 2)
        self.scale, self.rounded = torch.tensor([0.2, 0.3, 0.5]).view(3, 1, 1), rounded

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = (images * 3).round() / 3 if self.rounded else images
        return self.last(self.first((images.flip(1) - 0.4) / self.scale).relu().mean((2, 3)))


def seeded(build, seed: int = 0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().eval()


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(),
        nn.Conv2d(5, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


def test_the_kernel_is_that_of_the_weights_in_pixel_space_and_the_optimum_is_the_kernel():
    net = seeded(Normalized)
    found = first_layer(net, "first", (3, 20, 24), 99, np.random.default_rng(0))
    expected = (net.first.weight / net.scale).flip(1)
    torch.testing.assert_close(found.kernels, expected.detach(), rtol=1e-3, atol=1e-3)
    assert found.filters == 5 and found.units.tolist() == list(range(5))
    assert found.cosines.min() > 0.9999
    products = functional.cosine_similarity(found.optima.flatten(1), expected.flatten(1))
    assert products.min() > 0.9999


def test_energy_outside_the_window_lowers_the_cosine():
    class Watched(Normalized):
        """A gradient everywhere that the answer does not have."""

        def forward(self, images):
            images = images + (images - images.detach()).mean() * 50
            return super().forward(images)

    found = first_layer(seeded(Watched), "first", (3, 20, 24), 99, np.random.default_rng(0))
    assert found.cosines.max() < 0.9


def test_filters_of_zeros_have_no_cosine_and_no_say():
    net = seeded(Normalized)
    with torch.no_grad():
        net.first.weight[1] = 0
    found = first_layer(net, "first", (3, 20, 24), 99, np.random.default_rng(0))
    assert np.isnan(found.cosines[1]) and np.isfinite(found.cosines).sum() == 4


def test_a_first_layer_behind_a_step_has_no_closed_form():
    with pytest.raises(UnsupportedError):
        first_layer(seeded(lambda: Normalized(rounded=True)), "first", (3, 20, 24), 9, np.random.default_rng(0))


def test_a_first_layer_behind_a_curve_has_no_closed_form():
    net = nn.Sequential(nn.Sigmoid(), nn.Conv2d(1, 2, 3))
    stretched = nn.Sequential(nn.BatchNorm2d(1), *net).eval()
    with torch.no_grad():
        stretched[0].weight.fill_(5)
    with pytest.raises(UnsupportedError, match="no linear function of the pixels"):
        first_layer(stretched, "2", (1, 12, 12), 9, np.random.default_rng(0))


def test_an_8_bit_image_is_what_a_png_holds():
    image = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    pixels = (eight_bit(image)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    back = torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1)[None].float() / 255
    assert torch.equal(back, eight_bit(image))


def test_moved_images_repeat_their_edges():
    image = torch.arange(20.0).view(1, 1, 4, 5)
    down = moved(image, 2, 0)
    assert torch.equal(down[..., 2:, :], image[..., :2, :]) and torch.equal(down[..., 0, :], image[..., 0, :])
    left = moved(image, 0, -1)
    assert torch.equal(left[..., :-1], image[..., 1:]) and torch.equal(left[..., -1], image[..., -1])


def test_layers_are_the_first_convolution_and_deeper_ones_behind_their_normalization():
    image = torch.rand(1, 1, 28, 28)
    assert layers_of(seeded(small), image) == ("0", ["3", "5"])
    assert layers_of(seeded(Normalized), torch.rand(1, 3, 28, 28)) == ("first", ["logits"])
    with pytest.raises(UnsupportedError, match="no 2-d convolution"):
        layers_of(nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(196, 2)), image)


def test_images_are_small_where_the_model_takes_them():
    assert size_of(seeded(small), (1, 224, 200), ["5"]) == (1, SIDE, SIDE)
    fixed = nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.Flatten(), nn.Linear(2 * 69 * 69, 2))
    assert size_of(fixed, (1, 140, 140), ["logits"]) == (1, 140, 140)
    assert size_of(fixed, (1, 140, 140), ["0"]) == (1, SIDE, SIDE)


def test_heights_are_read_from_the_images_themselves():
    net, real = seeded(small), torch.rand(20, 1, 20, 20, generator=torch.Generator().manual_seed(1))
    found = optima(net, real, "3", (1, 20, 20), 3, seed=4)
    assert found.population == 5 and found.images.shape == (2, 3, 1, 20, 20) and found.rising
    with torch.no_grad():
        values = net[:4](real)[:, found.units].amax((2, 3)).double().numpy()
        image = eight_bit(found.images[1, 2])[None]
        moves = [moved(image, *place) for place in ((2, 0), (-2, 0), (0, 2), (0, -2))]
        heights = [float(net[:4](moves[k])[0, found.units[2]].max()) for k in range(4)]
    np.testing.assert_allclose(found.best, values.max(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.typical, np.median(values, axis=0), rtol=1e-5)
    assert found.best_image.tolist() == values.argmax(axis=0).tolist()
    assert found.moved[1, 2] == pytest.approx(min(heights), rel=1e-5)
    assert found.reached.all() and (found.relative(found.of_optimum(found.moved)) > 1).all()
    again = optima(net, real, "3", (1, 20, 20), 3, seed=4)
    assert torch.equal(again.images, found.images) and again.units.tolist() == found.units.tolist()


def test_the_optimum_of_a_unit_that_wants_black_is_as_high_as_a_black_image():
    """No image is higher than one that is an optimum itself."""
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3))
    with torch.no_grad():
        for layer in net:
            layer.weight.fill_(1.0)
        net[0].weight.neg_()
    real = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    real[0] = 0
    found = optima(net, real, "1", (1, 16, 16), 1)
    assert found.reached.all() and found.height.max() == pytest.approx(found.best[0], abs=1e-3)
