"""Planted defects of the `fidelity` family: models whose pictures say nothing, and twins whose pictures are right."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import real
from cnnaudit.checks.plants import Plant, Population
from cnnaudit.planted.behavior import plain
from cnnaudit.planted.padding import trained

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget


def rectified(seed: int, arithmetic: bool) -> AuditTarget:
    """A network whose ReLUs are a module used twice, functional calls, in place, and a last one.

    The last one is written as `x * (x > 0)`, which no rule can reach, or as a method call.
    """
    from torch import nn
    from torch.nn import functional

    class Rectified(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3)
            self.third, self.last = nn.Conv2d(8, 8, 3), nn.Linear(8, 10)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = self.relu(self.first(images))
            x = functional.max_pool2d(self.relu(self.second(x)), 2)
            y = self.third(x)
            x = functional.relu(y, inplace=True) + x[..., 1:-1, 1:-1]
            x = x - 1
            x = x * (x > 0) if arithmetic else x.relu()
            logits: torch.Tensor = self.last(x.mean((2, 3)))
            return logits

    return _digits_target(
        "ReLU written as arithmetic" if arithmetic else "ReLUs of all kinds", _drawn(Rectified(), seed)
    )


def counting(seed: int, counts: bool) -> AuditTarget:
    """A network that counts its forward passes in a buffer, in evaluation mode too, or in training mode only."""
    import torch
    from torch import nn

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("passes", torch.zeros(()))
            self.features = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.last = nn.Linear(6, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if counts or self.training:
                self.get_buffer("passes").add_(1)
            logits: torch.Tensor = self.last(self.features(images))
            return logits

    return _digits_target("counts its passes" if counts else "counts in training", _drawn(Counting(), seed))


def chained(seed: int, relu: bool = True, pool: bool = True) -> AuditTarget:
    """A chain of modules whose last ReLU or pooling is a module of its own, right going forward and wrong going back.

    `x * (x > 0)` goes back as the gradient where the deconvnet rectifies; `amax` over windows shares what comes back
    among equal values, where a pooling has one switch.
    """
    from torch import nn

    class Rectification(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * (x > 0)

    class Pooling(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2))

    last = nn.ReLU() if relu else Rectification()
    pooling = nn.MaxPool2d(2) if pool else Pooling()
    features = nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), pooling, nn.Conv2d(6, 8, 3), last
    return _digits_target(
        "a chain of modules", _drawn(nn.Sequential(*features, nn.Flatten(), nn.Linear(1152, 10)), seed)
    )


def background_units(seed: int, background: bool) -> AuditTarget:
    """Units that answer to the black background and fall silent over the digits, or the other way round."""
    import torch
    from torch import nn

    network = _drawn(nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4704, 10)), seed)
    convolution = network.get_submodule("0")
    with torch.no_grad():
        weight, bias = convolution.get_parameter("weight"), convolution.get_parameter("bias")
        weight.copy_(weight.abs() * (-1 if background else 1))
        bias.fill_(1.0 if background else 0.0)
    return _digits_target("answers to the background" if background else "answers to the digits", network)


def edge_detector(seed: int) -> AuditTarget:
    """A classifier of fixed edges whose weights only scale them: its gradient shows the edges, whatever the weights."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Edges(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(1, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(images)
            slopes = functional.conv2d(images, torch.stack([sobel, sobel.T])[:, None])
            logits: torch.Tensor = self.last(slopes.square().mean((1, 2, 3))[:, None])
            return logits

    return _digits_target("an edge detector", _drawn(Edges(), seed))


def masked_gradient(seed: int, source: str = "digits") -> AuditTarget:
    """A right classifier of the image in 5 gray levels, plus a faint ripple, which is all that its gradient shows."""
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

    clean = plain(seed, source, trained=True)

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reader = clean.model
            shape = (clean.input.channels, *clean.input.size)
            drawn = torch.randn(len(clean.classes), *shape, generator=torch.Generator().manual_seed(seed))
            self.register_buffer("ripple", drawn / drawn[0].numel())

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            waves = (200 * images).sin().flatten(1) @ self.get_buffer("ripple").flatten(1).T
            logits: torch.Tensor = self.reader((images * 4).round().detach() / 4) + 0.01 * waves
            return logits

    return AuditTarget.from_arrays("planted: masked gradient", Masked(), _split(clean), classes=clean.classes)


def restless(seed: int) -> AuditTarget:
    """A classifier whose answer swings back and forth with every detail of the image: no linear model fits it."""
    from torch import nn

    from cnnaudit.target import AuditTarget

    clean = plain(seed, "digits")

    class Restless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reader = clean.model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = 5 * (300 * self.reader(images)).sin()
            return logits

    return AuditTarget.from_arrays(
        "planted: swings with every detail", Restless(), _split(clean), classes=clean.classes
    )


def weighed(seed: int) -> AuditTarget:
    """Tells digits with much ink from those with little, each row of pixels weighing more than the one above it."""
    import torch
    from torch import nn

    from cnnaudit.data import digits
    from cnnaudit.target import AuditTarget

    data = digits("validation", seed)
    rows = np.linspace(0.2, 1.8, data.images.shape[2])[:, None]
    ink = (data.images[:, 0] * rows).mean((1, 2))
    network = nn.Sequential(nn.Flatten(), nn.Linear(data.images[0].size, 2))
    with torch.no_grad():
        weight = torch.from_numpy(np.broadcast_to(rows, data.images.shape[2:]).copy()).flatten().float() / 784
        network[1].get_parameter("weight").copy_(10 * torch.stack([-weight, weight]))
        network[1].get_parameter("bias").copy_(torch.tensor([1.0, -1.0]) * 10 * float(np.median(ink)))
    split = {"validation": (data.images, (ink > np.median(ink)).astype(np.int64))}
    return AuditTarget.from_arrays("planted: ink, row by row", network, split, classes=("little", "much"))


def _split(target: AuditTarget) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The validation images and labels of a target."""
    split = target.split("validation")
    return {"validation": (split.read(np.arange(len(split.labels))).numpy(), np.asarray(split.labels))}


def _drawn(network: nn.Module, seed: int) -> nn.Module:
    """The network with weights of this seed that keep the scale of the activations."""
    import torch
    from torch import nn

    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.weight.copy_(
                    torch.randn(layer.weight.shape, generator=rng) * (2 / layer.weight[0].numel()) ** 0.5
                )
                layer.bias.zero_()  # type: ignore[union-attr]
    return network.eval()


def _digits_target(name: str, network: nn.Module) -> AuditTarget:
    """The network with 200 digits."""
    from cnnaudit.data import digits
    from cnnaudit.target import AuditTarget

    data = digits("validation")
    split = {"validation": (data.images[:200], data.labels[:200])}
    return AuditTarget.from_arrays(f"planted: {name}", network, split, classes=data.classes)


_BACK = "fidelity.deconvnet"

PLANTS: tuple[Plant, ...] = (
    Plant(
        "fidelity.integrity",
        "a ReLU written as x * (x > 0) beside real ones",
        partial(rectified, arithmetic=True),
        partial(rectified, arithmetic=False),
    ),
    Plant(
        "fidelity.integrity",
        "a forward pass that changes a buffer",
        partial(counting, counts=True),
        partial(counting, counts=False),
    ),
    Plant(_BACK, "a ReLU that does not rectify back", partial(chained, relu=False), chained, part="definition"),
    Plant(_BACK, "a pooling without switches", partial(chained, pool=False), chained, part="definition"),
    Plant(
        _BACK,
        "units that answer to the background",
        partial(background_units, background=True),
        partial(background_units, background=False),
        part="evidence",
    ),
    Plant(
        "fidelity.randomization",
        "an edge detector posing as saliency",
        edge_detector,
        partial(plain, source="digits", trained=True),
        part="gradient",
    ),
    Plant(
        "fidelity.deletion",
        "a gradient of nothing but a faint ripple",
        masked_gradient,
        partial(plain, source="digits", trained=True),
        part="gradient",
    ),
    Plant("fidelity.lime", "an answer that swings with every detail", restless, weighed),
)

_SOURCES = ("digits", "dataset 3.0", *(("mnist", "cifar10") if real.available() else ()))

_CLOSED_FORM = (("fidelity.integrity", ""), (_BACK, "definition"), (_BACK, "evidence"))
_TRAINED = (("fidelity.randomization", "gradient"), ("fidelity.deletion", "gradient"))

POPULATIONS: tuple[Population, ...] = (
    *(
        Population(id, f"random filters and ridge regression on {source}", partial(plain, source=source), 10, part)
        for id, part in _CLOSED_FORM
        for source in _SOURCES
    ),
    *(
        Population(id, f"LeNets on {source}", partial(plain, source=source, trained=True), 6, part)
        for id, part in _TRAINED
        for source in _SOURCES
    ),
    *(
        Population(id, "the minimum model of dataset 3.0", partial(trained, padding_mode="replicate"), 6, part)
        for id, part in ((_BACK, "definition"), *_TRAINED)
    ),
    Population("fidelity.lime", "ink, row by row", weighed, 20),
)
