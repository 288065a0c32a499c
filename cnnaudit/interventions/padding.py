"""What convolutions see beyond the border, replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.core.errors import AuditError, UnsupportedError
from cnnaudit.interventions.geometry import Sides, arguments, geometry_of, note_pad, padding_of
from cnnaudit.interventions.module_paths import LayerError, Site
from cnnaudit.interventions.observer import Function, Observer, unseen
from cnnaudit.interventions.op_types import first_tensor

Rule = Literal["zeros", "replicate", "reflect", "circular", "noise"]


@contextmanager
def padding_rule(
    rule: Rule,
    *,
    model: nn.Module | None = None,
    layers: Sequence[str] | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[None]:
    """Replace the values that padding puts around the input of 2-d convolutions, while the context lasts.

    Padding is the convolution's own argument joined with a `pad` (`F.pad`, `ZeroPad2d`, `padding_mode` …) just before
    it on the same tensor, asymmetric too. The logits are bit-identical to those of the same network built with that
    padding mode. Shapes do not change. The padding of poolings is left alone (max pooling pads with -inf, which no
    activation is), and so is that of transposed, 1-d and 3-d convolutions.

    Args:
        rule: `zeros`; `replicate` (the nearest pixel); `reflect` (mirrored, without the edge); `circular`; `noise`:
            for each sample and channel uniform in [min, max] of the layer's own input there.
        model: names the layers, and limits the rule to this model's passes; None: every convolution in the context.
        layers: names of modules (all convolutions in them) or of calls, see `calls`; None: all convolutions.
        generator: draws the noise, in the order of the calls, so that numbers depend on the batch size; None: a new
            one seeded with 0. The global random state is never used.

    Raises:
        LayerError: the model has no such layer, or no convolution of it was reached when the context ends.
        UnsupportedError: the model hides its calls; a plane too small to be reflected or wrapped that far; no
            convolution was seen when the context ends.

    Source: the padding modes compared in Alsallakh et al., Mind the Pad, ICLR 2021 (arXiv 2010.02178).

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import padding_rule
        >>> net, images = torch.nn.Conv2d(1, 1, 3, padding=1), torch.ones(1, 1, 4, 4)
        >>> with padding_rule("replicate"):
        ...     answer = net(images)
        >>> bool(torch.isclose(answer.min(), answer.max()))  # no border any more
        True
    """
    if rule not in get_args(Rule):
        raise AuditError(f"padding_rule: expected one of {', '.join(get_args(Rule))}, got {rule!r}")
    if layers is not None and model is None:
        raise AuditError("padding_rule: `layers` are names in a model; give `model` too")
    observer = _PaddingRule(rule, model, layers, generator or torch.Generator().manual_seed(0))
    with observer:
        yield
    observer.require_effect()


class _PaddingRule(Observer):
    """Calls each chosen convolution on an input that bears the padding already."""

    def __init__(
        self, rule: str, model: nn.Module | None, layers: Sequence[str] | None, generator: torch.Generator
    ) -> None:
        super().__init__(model, whole=False)
        self._rule, self._generator = rule, generator
        self._layers = None if layers is None else {self.scopes.resolve(n): n for n in layers}
        self._missed = set(self._layers or ())
        self._seen = False

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if site.kind == "conv2d":
            self._seen = True
            chosen = site.chosen_by(self._layers or ())
            self._missed -= chosen
            if self._layers is None or chosen:
                return repadded(func, args, kwargs, self._rule, self._generator, site.name)
        output = func(*args, **kwargs)
        if site.kind == "pad" and (padded := first_tensor(output)) is not None:
            note_pad(func, args, kwargs, padded)
        return output

    def require_effect(self) -> None:
        """Raise where the context has intervened in nothing."""
        if self._layers and self._missed:
            layer = self._layers[min(self._missed)]
            raise LayerError(f"layer {layer!r}: no 2-d convolution of it was reached inside the context")
        if not self._seen:
            raise UnsupportedError("padding_rule: no 2-d convolution was called inside the context, or all are hidden")


def repadded(
    func: Function,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    rule: str,
    generator: torch.Generator,
    where: str = "",
) -> Any:
    """The call of a 2-d convolution with what its padding holds replaced, as `padding_rule` does."""
    bound = arguments(func, "conv2d", args, kwargs)
    geometry = geometry_of("conv2d", bound)
    if not any(geometry.padding):
        return func(*args, **kwargs)
    with unseen():
        plane = _crop(bound["input"], padding_of(bound["input"]).sides)
        left, right, top, bottom = geometry.padding
        # zeros by the convolution itself where it can: the very call that a zero-padded network makes
        own = (top, left) if rule == "zeros" and (left, top) == (right, bottom) else (0, 0)
        if own == (0, 0):
            plane = surround(plane, geometry.padding, rule, generator, where)
    if func is torch.ops.aten.conv2d.padding:  # the overload for 'same' and 'valid'
        func = torch.ops.aten.conv2d.default
    transposed = (False, (0, 0)) if "transposed" in bound else ()
    sizes = (geometry.stride, own, geometry.dilation, *transposed, geometry.groups)
    return func(plane, bound["weight"], bound.get("bias"), *sizes)


def on_noise(func: Function, args: Sequence[Any], kwargs: Mapping[str, Any], generator: torch.Generator) -> Any:
    """The call of a 2-d convolution on noise in the range of its input, sample by sample and channel by channel.

    The padding around the input is what it was.
    """
    bound = arguments(func, "conv2d", args, kwargs)
    with unseen():
        plane = bound["input"].clone()
        inside = _crop(plane, padding_of(bound["input"]).sides)
        low, high = inside.amin((-2, -1), keepdim=True), inside.amax((-2, -1), keepdim=True)
        uniform = torch.rand(inside.shape, generator=generator, device=generator.device)
        inside.copy_(low + (high - low) * uniform.to(plane))
    return func(plane, *args[1:], **{name: value for name, value in kwargs.items() if name != "input"})


def _crop(plane: torch.Tensor, sides: Sides) -> torch.Tensor:
    """The plane without the padding around it."""
    left, right, top, bottom = sides
    height, width = plane.shape[-2:]
    return plane[..., top : height - bottom, left : width - right]


def surround(plane: torch.Tensor, sides: Sides, rule: str, generator: torch.Generator, where: str = "") -> torch.Tensor:
    """The plane (…, C, H, W) with left, right, top, bottom pixels around it that follow the rule."""
    height, width = plane.shape[-2:]
    room = {"reflect": 1, "circular": 0}.get(rule)
    if room is not None and (max(sides[:2]) > width - room or max(sides[2:]) > height - room):
        raise UnsupportedError(
            f"{where or 'conv2d'}: {rule} padding of {sides} (left, right, top, bottom) needs a larger plane than "
            f"{height} x {width}; leave this layer out or use 'replicate'"
        )
    if rule == "noise":
        return _noise(plane, sides, generator)
    return F.pad(plane, sides, mode="constant" if rule == "zeros" else rule)


def _noise(plane: torch.Tensor, sides: Sides, generator: torch.Generator) -> torch.Tensor:
    """The plane with uniform noise around it, from the range of each sample and channel."""
    low, high = plane.detach().amin((-2, -1), keepdim=True), plane.detach().amax((-2, -1), keepdim=True)
    padded = F.pad(plane, sides)
    border = F.pad(torch.zeros(plane.shape[-2:], dtype=torch.bool), sides, value=True)
    shape = (*plane.shape[:-2], int(border.sum()))
    uniform = torch.rand(shape, generator=generator, device=generator.device).to(plane)
    padded[..., border.to(plane.device)] = low[..., 0] + (high - low)[..., 0] * uniform
    return padded
