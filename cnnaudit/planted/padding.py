"""Planted padding defects: networks whose border, or whose input size, does what it should not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnnaudit.checks.plants import Plant, Population

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

Mode = Literal["zeros", "replicate", "reflect", "circular"]


def resnet_geometry(seed: int, size: int = 64, padding_mode: Mode = "zeros") -> AuditTarget:
    """An untrained network with the five strided layers of a ResNet (7x7, max pooling, three of 3x3), 8 filters each.

    At sizes that are a multiple of 32 all five read padding before the image and none of it after; at one pixel more
    all are even.
    """
    import torch
    from torch import nn

    def convolution(before: int, kernel: int, stride: int) -> nn.Conv2d:
        return nn.Conv2d(before, 8, kernel, stride, kernel // 2, padding_mode=padding_mode)

    rng = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = [convolution(1, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for stride in (1, 2, 2, 2):
        layers += [convolution(8, 3, stride), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    _draw(network, rng)
    return _digits_target("ResNet geometry", network, size)


def same_padding(seed: int, symmetric: bool) -> AuditTarget:
    """A strided convolution whose 'same' padding puts its one pixel right and below, or one pixel on each side."""
    import torch
    from torch import nn

    pad = nn.ZeroPad2d(1) if symmetric else nn.ZeroPad2d((0, 1, 0, 1))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    network = nn.Sequential(pad, nn.Conv2d(1, 8, 3, 2), nn.ReLU(), *head)
    _draw(network, torch.Generator().manual_seed(seed))
    return _digits_target("same padding", network, 33 if symmetric else 32)


def edge_network(seed: int, padding_mode: Mode, task: Literal["shape", "polarity"] = "shape") -> AuditTarget:
    """Eight fixed edge filters, ReLU, max pooling and a linear layer fitted by ridge regression, on noisy figures.

    On a white background zero padding is an edge that is stronger than any in the image. With `polarity` the classes
    are black on white and white on black, and the edge at the border tells them apart.
    """
    import torch

    from cnnaudit.data import shapes
    from cnnaudit.models import minimum

    threshold, pool = (0.3, 28) if task == "shape" else (0.5, 14)
    train, validation = (
        shapes("scaling", noise=20, inverted=True, swaps="repeated", n_per_class=200, seed=2 * seed + part)
        for part in (0, 1)
    )
    labels = [data.labels if task == "shape" else data.polarity.astype(np.int64) for data in (train, validation)]
    classes = train.classes if task == "shape" else ("black on white", "white on black")
    network = minimum(filters=8, pool=pool, classes=len(classes), padding_mode=padding_mode)
    sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 4
    oblique = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.0, -1.0, -2.0]]) / 4
    bank = torch.stack([torch.rot90(kernel, turn) for kernel in (sobel, oblique) for turn in range(4)])
    _set(network.get_submodule("conv"), bank[:, None], torch.full((8,), -threshold))
    _fit_last_layer(network, torch.from_numpy(train.images), labels[0])
    return _target(f"edge network, {padding_mode}", network, (validation.images, labels[1]), classes)


def trained(seed: int, padding_mode: Mode) -> AuditTarget:
    """The minimum model of dataset 3.0, trained for a few epochs."""
    from cnnaudit.data import reference
    from cnnaudit.models import minimum
    from cnnaudit.training import fit

    train, validation = (reference("3.0", split, seed, n_per_class=500) for split in ("train", "validation"))
    network = minimum(pool=14, hidden=12, padding_mode=padding_mode)
    fit(network, (train.images, train.labels), epochs=15, seed=seed)
    return _target(f"minimum model, {padding_mode}", network, (validation.images, validation.labels), train.classes)


def brightness_sum(seed: int, size: int) -> AuditTarget:
    """Reads whether a spot is faint or bright from its brightness, summed by three strided [1 2 1] convolutions.

    With even padding (33 pixels) every pixel has the same weight in the sum, exactly; with uneven padding (32) the
    weights fall to an eighth over the last 8 pixels, and bright spots there are read as faint.
    """
    import torch
    from torch import nn

    kernel = torch.tensor([1.0, 2.0, 1.0]) / 2
    sums, linear = [nn.Conv2d(1, 1, 3, 2, 1, bias=False) for _ in range(3)], nn.Linear(1, 2)
    network = nn.Sequential(*sums, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 500)
    images = np.zeros((500, 1, size, size), dtype=np.float32)
    for image, label, (top, left) in zip(images, labels, rng.integers(0, 32 - 5 + 1, (500, 2))):
        image[0, top : top + 5, left : left + 5] = rng.normal((0.45, 0.9)[label], 0.03)
    cells = (-(-size // 8)) ** 2
    for layer in sums:
        _set(layer, (kernel[:, None] * kernel)[None, None])
    _set(linear, torch.tensor([[-1.0], [1.0]]) * cells, torch.tensor([1.0, -1.0]) * 25 * 0.675)
    return _target(f"brightness sum at {size}", network, (images.clip(0, 1), labels), ("faint", "bright"))


def steady_digits(seed: int, size: int = 33) -> AuditTarget:
    """Digits anywhere in the image, read by random filters with smooth strides and a linear layer fitted by ridge.

    Reaches .95. At 33 pixels the padding of its strides is even and the accuracy the same everywhere; at 32 it is some
    .07 lower at the right border.
    """
    import torch
    from torch import nn

    from cnnaudit.data import digits

    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    filters = [nn.Conv2d(before, after, 3, padding=1) for before, after in ((1, 24), (24, 64), (64, 128))]
    strides = [nn.Conv2d(n, n, 3, 2, 1, groups=n, bias=False) for n in (24, 64, 128)]
    layers = [layer for pair in zip(filters, strides) for layer in (pair[0], nn.ReLU(), pair[1])]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    _draw(network, torch.Generator().manual_seed(seed))
    for stride in strides:
        _set(stride, (kernel[:, None] * kernel).expand_as(stride.weight))
    train, validation = digits("train", seed), digits("validation", seed)
    rng = np.random.default_rng(seed)
    scattered = np.concatenate([_scattered(train.images, size, rng) for _ in range(3)])
    _fit_last_layer(network, torch.from_numpy(scattered), np.tile(train.labels, 3))
    split = (_scattered(validation.images, size, rng), validation.labels)
    return _target(f"scattered digits at {size}", network, split, train.classes)


def _scattered(images: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """The digits at 16 x 16 pixels, each anywhere on a black image of `size`."""
    import torch
    from torch.nn import functional

    inner = torch.from_numpy(images[:, :, 2:26, 2:26])
    small = functional.interpolate(inner, size=16, mode="bilinear", antialias=True).numpy()
    canvas = np.zeros((len(images), 1, size, size), dtype=np.float32)
    for image, digit, (top, left) in zip(canvas, small, rng.integers(0, size - 16 + 1, (len(images), 2))):
        image[:, top : top + 16, left : left + 16] = digit
    return canvas.clip(0, 1)


def _draw(network: nn.Module, rng: torch.Generator) -> None:
    """Normal weights that keep the scale of the activations (He et al. 2015), biases 0."""
    import torch
    from torch import nn

    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                fan_in = layer.weight[0].numel()
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng) * (2 / fan_in) ** 0.5)
                if layer.bias is not None:
                    layer.bias.zero_()


def _set(layer: nn.Module, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
    """Give a layer these parameters."""
    import torch

    with torch.no_grad():
        layer.get_parameter("weight").copy_(weight)
        if bias is not None:
            layer.get_parameter("bias").copy_(bias)


def _fit_last_layer(network: nn.Sequential, images: torch.Tensor, labels: np.ndarray) -> None:
    """Ridge regression of the classes on the standardized input of the last layer."""
    import torch
    from sklearn.linear_model import Ridge

    with torch.inference_mode():
        features = torch.cat([network[:-1](batch) for batch in torch.split(images, 256)]).double().numpy()
    center, scale = features.mean(0), features.std(0) + 1e-6
    fitted = Ridge(1.0).fit((features - center) / scale, np.eye(labels.max() + 1)[labels])
    weights = fitted.coef_ / scale
    _set(network[-1], torch.from_numpy(weights), torch.from_numpy(fitted.intercept_ - weights @ center))


def _digits_target(name: str, network: nn.Module, size: int) -> AuditTarget:
    """The network with 200 digits, black on white, enlarged to `size`."""
    import torch
    from torch.nn import functional

    from cnnaudit.data import digits

    data = digits("validation")
    images = functional.interpolate(1 - torch.from_numpy(data.images[:200]), size=size, mode="bilinear")
    return _target(f"{name} at {size}", network, (images.numpy().clip(0, 1), data.labels[:200]), data.classes)


def _target(name: str, network: nn.Module, validation: tuple[Any, Any], classes: tuple[str, ...]) -> AuditTarget:
    from cnnaudit.target import AuditTarget

    return AuditTarget.from_arrays(f"planted: {name}", network, {"validation": validation}, classes=classes)


_ZEROS = "edge filters behind zero padding, on white backgrounds"

PLANTS: tuple[Plant, ...] = (
    Plant(
        "padding.uneven_application",
        "the strided layers of a ResNet at 64 pixels",
        partial(resnet_geometry, size=64),
        partial(resnet_geometry, size=65),
    ),
    Plant(
        "padding.uneven_application",
        "'same' padding on the right and below only",
        partial(same_padding, symmetric=False),
        partial(same_padding, symmetric=True),
    ),
    *(
        Plant(id, _ZEROS, partial(edge_network, padding_mode="zeros"), partial(edge_network, padding_mode="replicate"))
        for id in ("padding.border_response", "padding.border_maximum")
    ),
    Plant(
        "padding.prediction_flip",
        "units that fire at the border carry the class",
        partial(edge_network, padding_mode="zeros", task="polarity"),
        partial(edge_network, padding_mode="replicate", task="polarity"),
    ),
    Plant(
        "padding.blind_spot",
        "three strides whose padding is uneven at 32 pixels",
        partial(brightness_sum, size=32),
        partial(brightness_sum, size=33),
    ),
)

_ON_IMAGES = ("padding.border_response", "padding.border_maximum", "padding.prediction_flip")
_MODES: tuple[Mode, ...] = ("replicate", "reflect", "circular")

POPULATIONS: tuple[Population, ...] = (
    Population(
        "padding.uneven_application",
        "the strided layers of a ResNet at 97 pixels",
        partial(resnet_geometry, size=97),
    ),
    *(
        Population(id, f"dataset 3.0, trained with {mode} padding", partial(trained, padding_mode=mode))
        for id in _ON_IMAGES
        for mode in _MODES
    ),
    *(
        Population(
            id,
            "untrained strided layers of a ResNet, replicate padding",
            partial(resnet_geometry, size=65, padding_mode="replicate"),
        )
        for id in _ON_IMAGES[:2]
    ),
    Population("padding.blind_spot", "digits anywhere, even and smooth strides", steady_digits),
)
