"""A private copy of a model, prepared for gradients of images alone."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from cnnaudit.interventions.module_paths import Site
from cnnaudit.interventions.observer import Function, Observer
from cnnaudit.interventions.op_types import first_tensor
from cnnaudit.interventions.parameters import is_strided_stem, quick_conv2d
from cnnaudit.interventions.recording import stop_at


def frozen(model: nn.Module, image: torch.Tensor, layers: Sequence[str] = (), last: str | None = None) -> nn.Module:
    """A copy that answers the same up to rounding, sooner, and takes gradients back to the images sooner.

    Its weights are constants of the graph. A batch normalization that alone reads a convolution is part of it:
    w' = s w and b' = s (b - mean) + beta with s = gamma / sqrt(variance + eps). On a CPU pointwise convolutions and the
    gradient of a strided first one take quicker ways. The model itself is not touched; what did not change shares its
    memory. What the copy answers should be held against the model: a forward that depends on more than its input and
    its modules may not survive being copied.

    Args:
        model: in evaluation mode.
        image: a batch of the shape, device and memory format that it will be asked.
        layers: whose outputs will be read, named as in `interventions.calls`; they are kept.
        last: the one where the passes will end; None: they go through the whole model.

    Raises:
        Exception: what copying the model raises, or the one pass that it makes on the image.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
        >>> images = torch.rand(4, 1, 8, 8)
        >>> quick = frozen(net, images)
        >>> bool(torch.allclose(quick(images), net(images), atol=1e-6)), quick(images).requires_grad
        (True, False)
    """
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()}
    memo.update({id(buffer): buffer for buffer in model.buffers()})
    copied = copy.deepcopy(model, memo)
    with torch.no_grad():
        for convolution, normalization in _pairs(copied, image, layers, last):
            _fold(convolution, normalization)
        for module in copied.modules():
            if type(module) is nn.Conv2d:
                _quicken(module, image)
    return copied


def lowered(copied: nn.Module, dtype: torch.dtype) -> None:
    """Hold the weights of a frozen copy in the type that `torch.autocast` would cast them to in every pass."""
    for module in copied.modules():
        if isinstance(module, nn.Conv2d) or type(module) is nn.Linear:
            for name, value in module.named_parameters(recurse=False):
                setattr(module, name, nn.Parameter(value.to(dtype), requires_grad=False))


def _fold(convolution: nn.Conv2d, normalization: nn.BatchNorm2d) -> None:
    """Make the normalization a part of the convolution, and an identity itself."""
    mean, variance = normalization.running_mean, normalization.running_var
    assert mean is not None and variance is not None
    statistics = mean, variance, normalization.eps, normalization.weight, normalization.bias
    convolution.weight, convolution.bias = fuse_conv_bn_weights(convolution.weight, convolution.bias, *statistics)
    normalization.__class__ = nn.Identity  # type: ignore[assignment]  # wherever it is registered


def _quicken(convolution: nn.Conv2d, image: torch.Tensor) -> None:
    """Let it take the quickest way on a CPU."""
    if image.device.type != "cpu":
        return
    if image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous():
        laid = convolution.weight.contiguous(memory_format=torch.channels_last)  # once, for all passes
        convolution.weight = nn.Parameter(laid, requires_grad=False)
    if convolution.kernel_size == (1, 1) and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        convolution.dilation = (2, 2)  # means nothing to one pixel; torch runs plain 1x1 ones of few images by a loop
    elif convolution.padding_mode == "zeros" and is_strided_stem(convolution.weight, convolution.stride):
        convolution.__class__ = _StridedStem


class _StridedStem(nn.Conv2d):
    """A convolution whose gradient is taken phase by phase of its stride."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        arguments = (input, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        answer: torch.Tensor = quick_conv2d(torch.conv2d, arguments, {})
        return answer


def _pairs(
    model: nn.Module, image: torch.Tensor, layers: Sequence[str], last: str | None
) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """The convolutions that one normalization reads and nothing else, each called once in a pass."""
    flow = _Flow(model)
    with torch.no_grad(), flow, stop_at(model, last) if last is not None else nullcontext():
        model(image)
    modules = dict(model.named_modules())
    for conv, output in flow.made:
        readers = flow.readers[id(output)]
        if len(readers) != 1 or readers[0].kind != "batch_norm" or flow.calls[conv.path] != 1:
            continue
        norm = readers[0]
        convolution, normalization = modules.get(conv.path), modules.get(norm.path)
        if type(convolution) is not nn.Conv2d or type(normalization) is not nn.BatchNorm2d:
            continue
        if flow.calls[norm.path] != 1 or normalization.running_var is None or normalization.training:
            continue
        if not (_hooked(convolution) or _hooked(normalization) or _read(conv.path, norm.path, layers)):
            yield convolution, normalization


class _Flow(Observer):
    """Notes the convolutions of a pass and what reads their output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.made: list[tuple[Site, torch.Tensor]] = []  # kept, so that no other tensor takes their place in memory
        self.readers: defaultdict[int, list[Site]] = defaultdict(list)
        self.calls: Counter[str] = Counter()

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        output = func(*args, **kwargs)
        if first_tensor(output) is None:  # a question about shape or type
            return output
        self.calls[site.path] += 1
        for value in _tensors((*args, *kwargs.values())):
            self.readers[id(value)].append(site)
        if site.kind == "conv2d":
            self.readers.pop(id(output), None)  # of a tensor that is gone
            self.made.append((site, output))
        return output


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _hooked(module: nn.Module) -> bool:
    """Whether somebody watches what goes into the module or comes out of it."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _read(conv: str, norm: str, layers: Sequence[str]) -> bool:
    """Whether one of the layers is what lies between the convolution and its normalization, or a call in either."""
    for layer in layers:
        path, slash, _ = layer.partition("/")
        path = path if slash else path.partition(":")[0]
        if (slash and path in (conv, norm)) or (_inside(conv, path) and not _inside(norm, path)):
            return True
    return False


def _inside(path: str, outer: str) -> bool:
    return path == outer or path.startswith(f"{outer}.") or not outer
