"""The slow deconvnet against transposed matrices, and ours against it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.attribution import deconvnet
from cnnaudit.checks.fidelity._deconvolution import chain, misplaced, reconstruct
from cnnaudit.core.errors import UnsupportedError

RNG = torch.Generator().manual_seed(0)


def matrix(layer: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """A linear layer as the matrix of what it makes of each unit image, without its bias."""
    size = torch.Size(shape).numel()
    units = torch.eye(size).view(size, *shape)
    return (layer(units) - layer(torch.zeros(1, *shape))).flatten(1).T


def test_convolution_goes_back_by_its_transposed_matrix():
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    image = torch.rand(1, 2, 7, 6, generator=RNG)
    steps = chain(layer_model := nn.Sequential(layer, nn.Flatten()), image)
    signal = torch.rand(layer_model(image).shape, generator=RNG)
    expected = (matrix(layer, (2, 7, 6)).T @ signal[0]).view(1, 2, 7, 6)
    assert torch.allclose(reconstruct(steps, signal), expected, atol=1e-5)


def test_rectification_and_switches_by_hand():
    image = torch.tensor([[[[1.0, 5.0], [3.0, 2.0]]]])
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    assert reconstruct(chain(model, image), torch.tensor([[7.0]])).tolist() == [[[[0, 7], [0, 0]]]]
    assert not reconstruct(chain(model, image), torch.tensor([[-7.0]])).any()


CHAINS = {
    "plain": lambda: [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
    "strided": lambda: [nn.Conv2d(2, 4, 5, stride=2, padding=2), nn.ReLU(inplace=True)],
    "dilated": lambda: [nn.Conv2d(2, 4, 3, dilation=2), nn.ReLU6(), nn.MaxPool2d(3, 2, 1)],
    "grouped": lambda: [nn.Conv2d(2, 4, 3, groups=2, padding=(0, 2)), nn.BatchNorm2d(4), nn.ReLU()],
    "replicate": lambda: [nn.Conv2d(2, 4, 3, padding=1, padding_mode="replicate"), nn.ReLU(), nn.AvgPool2d(2)],
    "reflect": lambda: [nn.ReflectionPad2d(1), nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3)],
    "same": lambda: [nn.Conv2d(2, 4, 4, padding="same"), nn.ReLU(), nn.AdaptiveMaxPool2d(4), nn.Dropout()],
}


@pytest.mark.parametrize("name", CHAINS)
def test_ours_is_the_definition(name):
    torch.manual_seed(1)
    layers = [*CHAINS[name](), nn.Conv2d(4, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)]
    model = nn.Sequential(*layers).eval()
    images = torch.rand(3, 2, 12, 12, generator=RNG)
    classes = model(images).argmax(1)
    steps = chain(model, images)
    defined = reconstruct(steps, functional.one_hot(classes, 3).float())
    assert defined.any()
    assert misplaced(deconvnet(model, images, classes), defined) < 1e-10


def test_functional_calls_between_modules_are_recognized():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(1, 3, 3), nn.Linear(75, 2)

        def forward(self, images):
            x = functional.max_pool2d(functional.relu_(self.first(images * 2 - 1)), 2)
            return self.last(nn.Identity()(x).flatten(1))

    torch.manual_seed(0)
    images = torch.rand(2, 1, 12, 12, generator=RNG)
    model = Functional()
    with pytest.raises(UnsupportedError, match="chain"):
        chain(model, images)  # pooled and flattened at once: more than one call is told apart from
    model.flatten = nn.Flatten()
    model.forward = lambda images: model.last(
        model.flatten(functional.max_pool2d(functional.relu_(model.first(images * 2 - 1)), 2))
    )
    classes = model(images).argmax(1)
    defined = reconstruct(chain(model, images), functional.one_hot(classes, 2).float())
    assert misplaced(deconvnet(model, images, classes), defined) < 1e-10


def test_what_is_no_chain_is_refused():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(36, 2)

        def forward(self, images):
            return self.last((self.conv(images) + images).flatten(1))

    images = torch.rand(1, 1, 6, 6, generator=RNG)
    with pytest.raises(UnsupportedError, match="no chain"):
        chain(Residual(), images)
    with pytest.raises(UnsupportedError, match="Sigmoid"):
        chain(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Sigmoid()), images)


def test_misplaced_energy_is_a_share():
    defined = torch.tensor([3.0, 4.0])
    assert misplaced(defined, defined) == 0
    assert misplaced(torch.tensor([3.0, 0.0]), defined) == pytest.approx(16 / 25)
    assert misplaced(torch.ones(2), torch.zeros(2)) == 1
