"""The deconvnet as its paper defines it: one step back per layer, slowly and explicitly.

What `cnnaudit.attribution.deconvnet` is measured against. It knows chains of modules only, each fed with the one
before; functional calls between two modules are recognized by what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import calls
from cnnaudit.interventions.modes import evaluating

Back = Callable[[torch.Tensor], torch.Tensor]
_PADS = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d)
_LINEAR = (*_PADS, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.BatchNorm2d)


@dataclass(frozen=True, slots=True)
class Step:
    """One layer of a chain: its module's name (empty: a functional call) and its way back."""

    name: str
    shape: torch.Size
    back: Back


def chain(model: nn.Module, images: torch.Tensor) -> list[Step]:
    """The steps of a forward pass, in order, each with the way back that the paper gives it.

    Convolution and linear layer: the transpose. ReLU: rectification of what comes back. Max pooling: unpooling to the
    switches. Average pooling, normalization, padding, reshaping: the transpose of that linear map. A module of the
    user's own is taken for what it does: ReLU, max pooling or nothing.

    Raises:
        UnsupportedError: the modules form no chain, or one of them is none of these.
    """
    if len(calls(model, images)) == 0:  # refuses models that hide their calls
        raise UnsupportedError("the model makes no calls")
    steps: list[Step] = []
    before: torch.Tensor | None = None
    for name, module, source, output in _leaves(model, images):
        steps.append(_entrance(images, source) if before is None else _between(before, source, name))
        steps.append(Step(name, output.shape, _way_back(name, module, source, output)))
        before = output
    with evaluating(model), torch.no_grad():
        answer = model(images)
    if before is None or not torch.equal(before, answer):
        raise UnsupportedError("the model's modules form no chain from its input to its logits")
    return steps


def reconstruct(steps: list[Step], signal: torch.Tensor) -> torch.Tensor:
    """The signal (N, …) that stands at the output of the last step, brought back to the pixels (N, C, H, W).

    Source: Zeiler and Fergus, ECCV 2014 (arXiv 1311.2901), section 2.1.
    """
    for step in reversed(steps):
        signal = step.back(signal)
    return signal


def misplaced(found: torch.Tensor, defined: torch.Tensor) -> float:
    """The energy of the difference as a share of the defined map's: |found - defined|^2 / |defined|^2, at most 1."""
    energy = float(defined.double().square().sum())
    difference = float((found.double() - defined.double()).square().sum())
    return 0.0 if difference == 0 else min(1.0, difference / energy) if energy else 1.0


def _leaves(model: nn.Module, images: torch.Tensor) -> list[tuple[str, nn.Module, torch.Tensor, torch.Tensor]]:
    """The innermost modules in the order of the pass, with copies of their input and output."""
    found: list[tuple[str, nn.Module, torch.Tensor, torch.Tensor]] = []
    inputs: dict[nn.Module, torch.Tensor] = {}

    def enter(module: nn.Module, arguments: Any) -> None:
        inputs[module] = arguments[0].detach().clone()

    def leave(name: str) -> Callable[..., None]:
        return lambda module, _, output: found.append((name, module, inputs.pop(module), output.detach().clone()))

    handles = []
    try:
        for name, module in model.named_modules():
            if name and not any(True for _ in module.children()):
                handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave(name))]
        with evaluating(model), torch.no_grad():
            model(images)
    except (AttributeError, IndexError) as error:
        raise UnsupportedError("the model's modules pass on more than single tensors") from error
    finally:
        for handle in handles:
            handle.remove()
    return found


def _entrance(images: torch.Tensor, source: torch.Tensor) -> Step:
    """From the pixels to the first module: a factor and an offset per channel, read off the values."""
    if source.shape != images.shape:
        raise UnsupportedError("the model's first module does not take the pixels")
    pixels, values = (t.double().transpose(0, 1).flatten(1) for t in (images, source))
    spread = pixels - pixels.mean(1, keepdim=True)
    factor = (spread * values).sum(1) / spread.square().sum(1).clamp(min=1e-12)
    offset = values.mean(1) - factor * pixels.mean(1)
    fitted = factor[:, None] * pixels + offset[:, None]
    if not torch.allclose(fitted, values, atol=1e-4, rtol=1e-4):
        raise UnsupportedError("the model does more to the pixels than to scale each channel before its first module")
    scale = factor.to(images.dtype).view(1, -1, 1, 1)
    return Step("", source.shape, lambda signal: signal * scale)


def _between(output: torch.Tensor, source: torch.Tensor, name: str) -> Step:
    """The functional call between the output of one module and the input of the next, known by what it does."""
    for relu, value in ((False, output), (True, output.relu())):
        back = _reshaping(value, source) or _pooling(value, source)
        if back is not None:
            return Step("", source.shape, partial(_rectified, back) if relu else back)
    raise UnsupportedError(f"the modules form no chain: {name} is fed with more than the module before it gives")


def _rectified(back: Back, signal: torch.Tensor) -> torch.Tensor:
    return back(signal).clamp(min=0)


def _reshaping(value: torch.Tensor, source: torch.Tensor) -> Back | None:
    """The way back where the values are the same in another shape, or the same shape; else None."""
    if source.numel() != value.numel() or not torch.equal(value.reshape(source.shape), source):
        return None
    return lambda signal: signal.reshape(value.shape)


def _way_back(name: str, module: nn.Module, source: torch.Tensor, output: torch.Tensor) -> Back:
    """The step back through one module."""
    if isinstance(module, nn.Conv2d):
        return _transposed(module, source)
    if isinstance(module, nn.Linear):
        return lambda signal: signal @ module.weight.detach()
    if isinstance(module, _LINEAR):
        return _adjoint(module, source)
    if isinstance(module, nn.MaxPool2d):
        _, switches = F.max_pool2d(
            source, module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode, True
        )
        return _unpooling(switches, source)
    if isinstance(module, nn.AdaptiveMaxPool2d):
        switches = nn.AdaptiveMaxPool2d(module.output_size, return_indices=True)(source)[1]
        return _unpooling(switches, source)
    if output.shape == source.shape and not isinstance(module, (nn.ReLU, nn.ReLU6)) and torch.equal(output, source):
        return lambda signal: signal
    if output.shape == source.shape and any(torch.equal(output, r) for r in (source.relu(), source.clamp(0, 6))):
        return lambda signal: signal.clamp(min=0)
    if source.dim() == output.dim() == 4 and (unpool := _pooling(source, output)) is not None:
        return unpool
    raise UnsupportedError(f"no deconvnet is defined for {name} ({type(module).__name__})")


def _transposed(layer: nn.Conv2d, source: torch.Tensor) -> Back:
    """Transposed convolution; padding goes back as the transpose of padding."""
    sides = list(layer._reversed_padding_repeated_twice)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(source, sides, mode=mode)

    def back(signal: torch.Tensor) -> torch.Tensor:
        weight = layer.weight.detach()
        plane = F.conv_transpose2d(signal, weight, None, layer.stride, 0, 0, layer.groups, layer.dilation)
        rest = [padded.shape[-1] - plane.shape[-1], padded.shape[-2] - plane.shape[-2]]
        plane = F.pad(plane, (0, rest[0], 0, rest[1]))
        return _adjoint(lambda x: F.pad(x, sides, mode=mode), source)(plane)

    return back


def _adjoint(function: Callable[[torch.Tensor], torch.Tensor], source: torch.Tensor) -> Back:
    """The transpose of a function that is linear up to a constant, by its derivative alone."""

    def back(signal: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            variable = source.clone().requires_grad_()
            (answer,) = torch.autograd.grad(function(variable), variable, signal)
        return answer

    return back


def _pooling(source: torch.Tensor, output: torch.Tensor) -> Back | None:
    """Unpooling, where the output is the maximum over windows that lie side by side; else None."""
    if source.dim() != 4 or output.dim() != 4 or source.shape[:2] != output.shape[:2]:
        return None
    kernel = [before // after for before, after in zip(source.shape[2:], output.shape[2:])]
    if min(kernel) < 1 or max(kernel) < 2:
        return None
    values, switches = F.max_pool2d(source, kernel, return_indices=True)
    return _unpooling(switches, source) if values.shape == output.shape and torch.equal(values, output) else None


def _unpooling(switches: torch.Tensor, source: torch.Tensor) -> Back:
    """Each value back to the pixel that was the largest of its window."""

    def back(signal: torch.Tensor) -> torch.Tensor:
        plane = torch.zeros_like(source).flatten(2)
        return plane.scatter_add(2, switches.flatten(2), signal.flatten(2)).view_as(source)

    return back
