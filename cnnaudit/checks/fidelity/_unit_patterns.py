"""What stands in a layer's input where its units answer most: of natural images, and of optimized ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.activation import maximum_activation
from cnnaudit.checks.fidelity._activations import device_of
from cnnaudit.checks.fidelity._neuron_optimum import FOURIER, Shape
from cnnaudit.core.errors import ModelError, UnsupportedError
from cnnaudit.core.statistics import derive_seed
from cnnaudit.interventions import Call, calls, input_of
from cnnaudit.interventions.images import cpu_size
from cnnaudit.interventions.modes import evaluating
from cnnaudit.optimization import maximize, unit
from cnnaudit.units import LayerKernels, kernels
from cnnaudit.units.signs import FEWEST

TOP = 9
STILL = replace(FOURIER, name="still", jitter=None)  # the window is that of one place: jitter would blur it


@dataclass(frozen=True, eq=False)
class UnitPatterns:
    """The patterns that drive some units of a layer, in the layer's input.

    Attributes:
        layer: the kernels of all its units.
        units: the numbers of those that were asked, (n,).
        top: (n, h, w), the mean over the unit's top images of the standardized windows.
        optimized: (n, h, w), the window of the optimized image.
        images: (n, C, H, W), the optimized images.
        best: (n,), which of the given images answers most.
    """

    layer: LayerKernels
    units: np.ndarray
    top: np.ndarray
    optimized: np.ndarray
    images: torch.Tensor
    best: np.ndarray


def averaging_layers(model: nn.Module, image: torch.Tensor) -> list[LayerKernels]:
    """The convolutions whose units average several kernels of h x w, both above 1, and that have 4 units or more.

    Not those of a single kernel per unit (depthwise ones, grey images). Where there are none, those of 1 x w and h x 1.

    Args:
        image: (1, C, H, W) on the model's device.
    """
    found = [layer for layer in kernels(model, image) if layer.spatial and layer.inputs > 1 and layer.units >= FEWEST]
    return [layer for layer in found if min(layer.size) > 1] or found


def unit_patterns(
    model: nn.Module, images: torch.Tensor, layer: LayerKernels, units: np.ndarray, shape: Shape, *, seed: int = 0
) -> UnitPatterns:
    """Where units of a layer answer most, before any activation function, the window of the layer's input under them.

    A window holds, at each of the kernel's h x w positions, the mean over the input channels that the unit reads;
    beyond the map it holds 0, as zero padding does. For natural images it is that of the strongest position of the map,
    of each of the 9 images that the unit answers to most; these are brought to mean 0 and norm 1 and averaged. For
    the optimized image, which maximizes the unit's answer at the center of its map, it is the window there.

    Args:
        images: float (N, C, H, W), on any device.
        units: numbers of the units that are asked, (n,).
        shape: (C, H, W) of the optimized images.

    Raises:
        LayerError: the model has no such layer.
        ModelError: the model rejects the images.
        UnsupportedError: no image can be optimized, since the model is not differentiable.
    """
    found = maximum_activation(model, images, layer.layer)
    chosen = torch.from_numpy(units)
    order = found.values[:, chosen].argsort(dim=0, descending=True, stable=True)[:TOP].cpu()  # (top, n)
    needed, where = torch.unique(order, return_inverse=True)
    places = torch.stack([found.rows, found.columns], dim=-1)[:, chosen].cpu()[needed]
    windows = _windows(model, images[needed], layer, units, places)
    top = np.stack([_standard(windows[where[:, k], k]).mean(axis=0) for k in range(len(units))])

    goal = unit(layer.layer, units.tolist())
    try:
        optima = maximize(model, goal, shape, STILL, seed=derive_seed(seed, layer.layer)).images.cpu()
    except ModelError as error:
        raise UnsupportedError(f"no image can be optimized for the units of {layer.layer}: {error}") from error
    height, width = _call(model, optima[:1].to(device_of(model)), layer.layer).output_shape[2:]
    center = torch.tensor([height // 2, width // 2]).expand(len(units), len(units), 2)
    own = np.arange(len(units))
    optimized = _windows(model, optima, layer, units, center)[own, own]
    return UnitPatterns(layer, units, top, optimized, optima, order[0].numpy())


def _windows(
    model: nn.Module, images: torch.Tensor, layer: LayerKernels, units: np.ndarray, places: torch.Tensor
) -> np.ndarray:
    """The mean input (N, n, h, w) under the places (N, n, 2), row and column in the layer's map, of each unit."""
    device, found = device_of(model), []
    groups = torch.from_numpy(units // (layer.units // layer.groups))
    batch = cpu_size(images.cpu(), 64)
    with torch.no_grad(), evaluating(model):
        call = _call(model, images[:1].to(device), layer.layer)
        for some, at in zip(images.split(batch), places.split(batch)):  # type: ignore[no-untyped-call]
            given = input_of(model, some.to(device), layer.layer)
            mean = given.reshape(len(given), layer.groups, -1, *given.shape[2:]).mean(2).float().cpu()
            rows, columns = (_reach(call, at[..., axis], axis, given.shape[2 + axis]) for axis in (0, 1))
            margin = [int(side) for axis in (1, 0) for side in [_margin(call, axis)] * 2]
            padded = functional.pad(mean, margin)
            number = torch.arange(len(some))[:, None, None, None]
            found.append(padded[number, groups[None, :, None, None], rows[..., :, None], columns[..., None, :]])
    return torch.cat(found).double().numpy()


def _call(model: nn.Module, image: torch.Tensor, layer: str) -> Call:
    """The convolution as it is called."""
    with evaluating(model):
        found = [call for call in calls(model, image) if call.name == layer]
    if not found:
        raise ModelError(f"layer {layer!r} is not called with images of {tuple(image.shape)}")
    return found[0]


def _margin(call: Call, axis: int) -> int:
    """Zeros around the map that hold every window, also those in the padding."""
    assert call.geometry is not None
    return call.geometry.dilation[axis] * (call.geometry.kernel[axis] - 1) + max(call.geometry.padding)


def _reach(call: Call, places: torch.Tensor, axis: int, length: int) -> torch.Tensor:
    """Where the windows at those rows (or columns) of the output lie in the padded input, (N, n, taps)."""
    geometry = call.geometry
    assert geometry is not None
    before, after = geometry.padding[2:] if axis == 0 else geometry.padding[:2]
    inside = length - call.input_shape[2 + axis]  # what a `pad` before the call put there already
    own = (before + after - inside) // 2
    taps = geometry.dilation[axis] * torch.arange(geometry.kernel[axis])
    return places[..., None] * geometry.stride[axis] - own + _margin(call, axis) + taps


def _standard(windows: np.ndarray) -> np.ndarray:
    """Windows (n, h, w) of mean 0 and norm 1; constant ones are zeros."""
    centered = windows - windows.mean(axis=(1, 2), keepdims=True)
    norms = np.sqrt(np.square(centered).sum(axis=(1, 2), keepdims=True))
    return np.asarray(np.divide(centered, norms, out=np.zeros_like(centered), where=norms > 1e-12))
