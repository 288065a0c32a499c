"""Small networks with set weights, that the plants of several padding checks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.checks.small_targets import Mode, on_images

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget


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
    draw_weights(network, rng)
    return on_digits("ResNet geometry", network, size)


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
    set_parameters(network.get_submodule("conv"), bank[:, None], torch.full((8,), -threshold))
    fit_last_layer(network, torch.from_numpy(train.images), labels[0])
    return on_images(f"edge network, {padding_mode}", network, (validation.images, labels[1]), classes)


def draw_weights(network: nn.Module, rng: torch.Generator) -> None:
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


def set_parameters(layer: nn.Module, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
    """Give a layer these parameters."""
    import torch

    with torch.no_grad():
        layer.get_parameter("weight").copy_(weight)
        if bias is not None:
            layer.get_parameter("bias").copy_(bias)


def fit_last_layer(network: nn.Sequential, images: torch.Tensor, labels: np.ndarray) -> None:
    """Ridge regression of the classes on the standardized input of the last layer."""
    import torch
    from sklearn.linear_model import Ridge

    with torch.no_grad():
        features = torch.cat([network[:-1](batch) for batch in torch.split(images, 256)]).double().numpy()
    center, scale = features.mean(0), features.std(0) + 1e-6
    fitted = Ridge(1.0).fit((features - center) / scale, np.eye(labels.max() + 1)[labels])
    weights = fitted.coef_ / scale
    set_parameters(network[-1], torch.from_numpy(weights), torch.from_numpy(fitted.intercept_ - weights @ center))


def on_digits(name: str, network: nn.Module, size: int) -> AuditTarget:
    """The network with 200 digits, black on white, enlarged to `size`."""
    import torch
    from torch.nn import functional

    from cnnaudit.data import digits

    data = digits("validation")
    images = functional.interpolate(1 - torch.from_numpy(data.images[:200]), size=size, mode="bilinear")
    return on_images(f"{name} at {size}", network, (images.numpy().clip(0, 1), data.labels[:200]), data.classes)
