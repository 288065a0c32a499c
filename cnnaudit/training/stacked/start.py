"""What a stack starts from: the module, checked images and labels, the initial parameters of each model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnaudit.core.errors import DataError, ModelError
from cnnaudit.core.wording import listed, nearest, one_line
from cnnaudit.training._fit import glorot, tensors
from cnnaudit.training.stacked.any import columns_of

Split = tuple[Any, Any]


@dataclass(frozen=True)
class Start:
    """M models before training.

    Attributes:
        data, validation: images (N, C, H, W) and labels (N,).
        weights: (M, P) on the CPU, a model's parameters in the order of `named_parameters`.
        rates: (M,), learning rates.
        trainable: (P,), 1 or, for frozen parameters, 0.
    """

    architecture: Callable[[], nn.Module]
    data: Split
    validation: Split | None
    weights: torch.Tensor
    rates: torch.Tensor
    trainable: torch.Tensor
    device: str

    def part(self, rows: np.ndarray) -> Start:
        """Some of the models, with arrays in place of tensors, which joblib hands to processes without copying."""

        def arrays(split: Split) -> Split:
            return split[0].cpu().numpy(), split[1].cpu().numpy()

        return replace(
            self,
            data=arrays(self.data),
            validation=self.validation and arrays(self.validation),
            weights=self.weights[rows],
            rates=self.rates[rows],
        )

    def opened(self) -> Start:
        """A part, in its process, with tensors of its own."""

        def copied(split: Split) -> Split:
            return torch.from_numpy(np.array(split[0])), torch.from_numpy(np.array(split[1]))

        return replace(self, data=copied(self.data), validation=self.validation and copied(self.validation))


def start_of(
    architecture: Callable[[], nn.Module],
    data: Split,
    validation: Split | None,
    seeds: Sequence[int],
    rates: Sequence[float],
    frozen: Collection[str],
    initial: Mapping[str, Any],
    device: str,
) -> Start:
    """The start, with every input checked; errors are those of `train_stacked`."""
    template, on = build(architecture), device_of(device)
    images, labels = pixels(data, on, "data")
    splits = {"data": (images, labels)}
    if validation is not None:
        splits["validation"] = pixels(validation, on, "validation")
        if splits["validation"][0].shape[1:] != images.shape[1:]:
            raise DataError(
                f"train_stacked: validation images have the shape {tuple(splits['validation'][0].shape[1:])}, "
                f"data {tuple(images.shape[1:])}"
            )
    classes = _classes(template, images[:2].cpu())
    for name, (_, its_labels) in splits.items():
        low, high = int(its_labels.min()), int(its_labels.max())
        if not 0 <= low <= high < classes:
            raise DataError(
                f"train_stacked: labels of {name} must be in 0..{classes - 1}, as the network gives {classes} logits, "
                f"got {low}..{high}"
            )
    return Start(
        architecture,
        splits["data"],
        splits.get("validation"),
        _initial_weights(template, seeds, initial),
        torch.as_tensor(rates, dtype=torch.float32),
        _trainable(template, frozen),
        device,
    )


def build(architecture: Callable[[], nn.Module]) -> nn.Module:
    """The module that `architecture` builds; random numbers it draws are the same each time, torch's are untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = architecture()
    if not isinstance(model, nn.Module):
        raise ModelError(f"train_stacked: architecture must build a torch.nn.Module, got {type(model).__name__}")
    if not list(model.parameters()):
        raise ModelError("train_stacked: the network has no parameters to train")
    return model


def device_of(device: str) -> torch.device:
    """The device of that name, where this machine has it."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DataError(f"train_stacked: device {device!r} cannot be used here: {one_line(error)}") from error
    return torch.device(device)


def pixels(data: Split, device: torch.device, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, C, H, W) and labels (N,) on the device, checked; `name` says which, for messages."""
    name = f"train_stacked: {name}"
    images, labels = tensors(data, device, name)
    if images.ndim != 4:
        raise DataError(f"{name}: images must be (N, C, H, W), got the shape {tuple(images.shape)}")
    if labels.ndim != 1:
        raise DataError(f"{name}: labels must be (N,), got the shape {tuple(labels.shape)}")
    if not torch.equal(labels.cpu().double(), torch.as_tensor(data[1]).cpu().double()):
        raise DataError(f"{name}: labels must be whole numbers")
    broken = (~images.isfinite().flatten(1).all(1)).nonzero()[:, 0].tolist()
    if broken:
        raise DataError(f"{name}: {len(broken)} image(s) hold NaN or infinity, the first at position {broken[0]}")
    return images, labels


def _classes(template: nn.Module, images: torch.Tensor) -> int:
    """The number K of logits, found by asking."""
    shape = tuple(images.shape[1:])
    template.eval()
    try:
        with torch.no_grad():
            answer = template(images)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"train_stacked: the network cannot take images of shape {shape}: {one_line(error)}"
        ) from error
    if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or len(answer) != len(images):
        found = f"the shape {tuple(answer.shape)}" if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise ModelError(f"train_stacked: the network must answer logits (N, K), got {found} for {len(images)} images")
    return int(answer.shape[1])


def _initial_weights(template: nn.Module, seeds: Sequence[int], given: Mapping[str, Any]) -> torch.Tensor:
    """Parameters of each model, (M, P): `fit`'s draws by seed, then what is given by name."""
    shapes = {name: parameter.shape for name, parameter in template.named_parameters()}
    _known(given, shapes, "initial")
    drawn: dict[int, torch.Tensor] = {}
    for seed in dict.fromkeys(seeds):
        glorot(template, torch.Generator().manual_seed(int(seed)))
        drawn[seed] = torch.cat([parameter.detach().flatten() for parameter in template.parameters()])
    weights = torch.stack([drawn[seed] for seed in seeds])
    for name, column in columns_of(template, weights).items():
        if name in given:
            shape = shapes[name]
            value = torch.as_tensor(given[name]).detach().to("cpu", torch.float32)
            each = (len(seeds), *shape)
            if value.shape not in (shape, each):
                raise ModelError(
                    f"train_stacked: initial[{name!r}] must have the shape {tuple(shape)}, or {each} for one value per "
                    f"model, got {tuple(value.shape)}"
                )
            column.copy_(value.expand(each))
    return weights


def _trainable(template: nn.Module, frozen: Collection[str]) -> torch.Tensor:
    """1 for each parameter (P,) that is trained, 0 where its name is frozen."""
    sizes = {name: parameter.numel() for name, parameter in template.named_parameters()}
    _known(frozen, sizes, "frozen")
    if set(frozen) == set(sizes):
        raise ModelError("train_stacked: every parameter is frozen, so there is nothing to train")
    return torch.cat([torch.full((size,), float(name not in frozen)) for name, size in sizes.items()])


def _known(names: Collection[str], parameters: Collection[str], argument: str) -> None:
    for name in names:
        if name not in parameters:
            raise ModelError(
                f"train_stacked: {argument} names {name!r}, which is no parameter of this network; it has "
                f"{listed(list(parameters), most=8)}{nearest(name, parameters)}"
            )
