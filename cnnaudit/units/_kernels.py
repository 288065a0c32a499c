"""The kernels of a model's convolutions, as they are, averaged over their inputs, and as signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.core.errors import DataError, ModelError, UnsupportedError

if TYPE_CHECKING:
    import torch
    from torch import nn

CONSTANT = 1e-6  # a row whose spread is below this share of its largest value is the same number, up to rounding


@dataclass(frozen=True, eq=False)
class LayerKernels:
    """The kernels of one convolution.

    Attributes:
        layer: its name, as in `interventions.calls`.
        weights: float32 (units, inputs, h, w); `inputs` are the channels of a group.
        groups: of the convolution; 1 in the ordinary one, where every unit sees all channels.
    """

    layer: str
    weights: np.ndarray
    groups: int = 1

    @property
    def units(self) -> int:
        """Number of units, the convolution's output channels."""
        return int(self.weights.shape[0])

    @property
    def inputs(self) -> int:
        """Kernels of a unit, one for each channel that it sees."""
        return int(self.weights.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a kernel."""
        return int(self.weights.shape[2]), int(self.weights.shape[3])

    @property
    def spatial(self) -> bool:
        """Whether a kernel sees more than one pixel."""
        return self.size != (1, 1)

    def averaged(self) -> np.ndarray:
        """Each unit's kernels averaged over its input channels: (units, h, w)."""
        return np.asarray(self.weights.mean(axis=1, dtype=np.float64), dtype=np.float32)

    def binarized(self) -> np.ndarray:
        """The signs of `averaged`: int8 (units, h, w) of -1, 0 and 1."""
        return np.asarray(np.sign(self.averaged()), dtype=np.int8)

    def signs(self) -> np.ndarray:
        """The signs of every weight: int8 (units, inputs, h, w) of -1, 0 and 1."""
        return np.asarray(np.sign(self.weights), dtype=np.int8)

    def each(self) -> np.ndarray:
        """Every kernel as one row, unit after unit: (units * inputs, h * w)."""
        return self.weights.reshape(self.units * self.inputs, -1)

    def unit_of(self, row: int) -> int:
        """The unit that a row of `each` belongs to."""
        return int(row) // self.inputs

    def input_of(self, row: int) -> int:
        """The input channel that a row of `each` reads."""
        group = self.unit_of(row) // (self.units // self.groups)
        return group * self.inputs + int(row) % self.inputs


def kernels(model: nn.Module, image: torch.Tensor | None = None) -> list[LayerKernels]:
    """The kernels of every 2-d convolution, in the order of the forward pass.

    With an image the weights are those of the calls of one pass: of modules, functional calls and exported graphs
    alike; a weight that several calls share is given once. Without one they are those of the `nn.Conv2d` modules, in
    the order of `named_modules`, as weight normalization, spectral normalization and pruning would make them for the
    next pass. Layers of 1x1 kernels are among them with `spatial` False. Transposed, 1-d and 3-d convolutions are not.

    Args:
        image: (1, C, H, W) or more of which the first is used, on the model's device.

    Raises:
        ModelError: a layer's kernels hold NaN or infinity.
        UnsupportedError: the model has no 2-d convolution (without an image: as a module), hides its calls, or a hook
            that is not known makes a weight.

    Source: C. Garriga, Studying the characterisation of deep CNN neurons, 2019, algorithm 1.

    Example:
        >>> from cnnaudit.models import lenet
        >>> from cnnaudit.units import kernels
        >>> [(layer.layer, layer.weights.shape) for layer in kernels(lenet())]
        [('conv1', (32, 1, 3, 3)), ('conv2', (32, 32, 3, 3))]
    """
    weights = _of_modules(model) if image is None else _of_pass(model, image)
    found = []
    for layer, (weight, groups) in weights.items():
        array = weight.detach().float().cpu().numpy().copy()
        bad = ~np.isfinite(array).all(axis=(1, 2, 3))
        if bad.any():
            raise ModelError(
                f"layer {layer!r}: the kernels of {int(bad.sum())} of {len(bad)} units hold NaN or infinity, first of "
                f"unit {int(bad.argmax())}; training has diverged or the weights were damaged, load others"
            )
        found.append(LayerKernels(layer, array, groups))
    if not found:
        raise UnsupportedError(
            "the model has no 2-d convolution"
            + (" as a module; give an image, so that functional calls are seen" if image is None else "")
        )
    return found


def normalized(rows: np.ndarray, scale: Literal["variance", "norm"] = "variance") -> tuple[np.ndarray, np.ndarray]:
    """Rows brought to mean 0 and variance 1, or to mean 0 and Euclidean norm 1.

    A kernel x of d numbers becomes (x - mean) / s with s the standard deviation (over d), or sqrt(d) times it. The
    two differ by the factor sqrt(d), and so must distances, such as the eps of DBSCAN. A constant row has no pattern
    and is left out.

    Args:
        rows: (n, d), such as `LayerKernels.each()`.

    Returns:
        The normalized rows (m, d) in the type of `rows`, and the numbers (m,) of the rows that are left.

    Raises:
        DataError: no (n, d) numbers, NaN or infinity among them, or another word for `scale`.

    Source: Garriga 2019, section 4.2.3, which normalizes to variance 1.

    Example:
        >>> values, left = normalized(np.array([[1.0, 3.0], [5.0, 5.0]]), "norm")
        >>> values.round(3).tolist(), left.tolist()
        ([[-0.707, 0.707]], [0])
    """
    rows = np.asarray(rows)
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating) or not np.isfinite(rows).all():
        raise DataError(f"normalized: expected finite floating-point rows (n, d), got {rows.dtype} {rows.shape}")
    if scale not in ("variance", "norm"):
        raise DataError(f"normalized: scale must be variance or norm, got {scale!r}")
    wide = rows.astype(np.float64)
    centered = wide - wide.mean(axis=1, keepdims=True)
    spread = np.sqrt((centered**2).mean(axis=1))
    left = np.flatnonzero(spread > CONSTANT * np.abs(wide).max(axis=1, initial=0))
    divisor = spread[left] * (np.sqrt(rows.shape[1]) if scale == "norm" else 1)
    return (centered[left] / divisor[:, None]).astype(rows.dtype), left


def _of_modules(model: nn.Module) -> dict[str, tuple[torch.Tensor, int]]:
    """Weight and groups of each `nn.Conv2d` module."""
    import torch
    from torch import nn

    from cnnaudit.interventions.modes import evaluating

    modules = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    with torch.no_grad(), evaluating(model):  # a parametrization may change its buffers in training mode
        return {name: (_weight(module, name), module.groups) for name, module in modules.items()}


def _weight(module: nn.Conv2d, name: str) -> torch.Tensor:
    """The weight that the next pass would use: hooks compute it from their own parameters before each.

    Raises:
        UnsupportedError: an unknown hook may be the one that makes the weight.
    """
    from torch import nn
    from torch.nn.utils.prune import BasePruningMethod
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    if "weight" in module._parameters or nn.utils.parametrize.is_parametrized(module, "weight"):
        return module.weight
    before = module.__dict__.get("weight")
    makers = [
        hook
        for hook in module._forward_pre_hooks.values()
        if "weight" in (getattr(hook, "name", None), getattr(hook, "_tensor_name", None))
    ]
    if not makers or not all(isinstance(hook, (BasePruningMethod, SpectralNorm, WeightNorm)) for hook in makers):
        raise UnsupportedError(
            f"layer {name!r}: what computes its weight, which is no parameter, is not known; give an image, so "
            "that the weights are those of a pass"
        )
    try:
        for hook in makers:
            hook(module, ())
        return module.weight
    finally:
        module.__dict__["weight"] = before  # whatever the latest pass left


def _of_pass(model: nn.Module, image: torch.Tensor) -> dict[str, tuple[torch.Tensor, int]]:
    """Weight and groups of each convolution of a pass."""
    from cnnaudit.interventions import calls
    from cnnaudit.interventions.images import require_images
    from cnnaudit.interventions.inputs import all_weights
    from cnnaudit.interventions.modes import evaluating

    require_images(image)
    batch = image[:1].expand(getattr(model, "batch", None) or 1, *image.shape[1:])
    with evaluating(model):
        weights = all_weights(model, batch)
        groups = {call.name: call.geometry.groups for call in calls(model, batch) if call.geometry}
    return {name: (weight, groups[name]) for name, weight in weights.items()}
