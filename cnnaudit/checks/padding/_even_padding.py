"""Whether a layer's padding is used on both sides alike: arithmetic on the calls of one forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cnnaudit.interventions import Call, calls


@dataclass(frozen=True, slots=True)
class Axis:
    """One layer along one axis: input size, padding before and after it, and how far the last window reaches.

    Attributes:
        reach: how many pixels beyond the input's end the last window reads; negative: input pixels it leaves out.
    """

    size: int
    before: int
    after: int
    reach: int

    @property
    def padded(self) -> bool:
        """Whether any window reads, or could read, beyond the input."""
        return self.before > 0 or self.after > 0 or self.reach > 0

    @property
    def even(self) -> bool:
        """Whether the same number of padded pixels is applied, and read, on both sides."""
        return not self.padded or self.before == self.after == self.reach

    @property
    def cropped(self) -> int:
        """Input pixels at the end that no window reads."""
        return max(-self.reach, 0)

    @property
    def imbalance(self) -> int:
        """Padding read before the input, less padding read (positive) or input left out (negative) after it."""
        return self.before - self.reach if self.padded else 0


@dataclass(frozen=True, slots=True)
class Application:
    """How one convolution or pooling applies its padding; pairs are (height, width)."""

    layer: str
    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    axes: tuple[Axis, Axis]

    @property
    def padded(self) -> bool:
        """Whether the layer pads along any axis."""
        return any(axis.padded for axis in self.axes)

    @property
    def even(self) -> bool:
        """Whether the padding is applied evenly along both axes."""
        return all(axis.even for axis in self.axes)

    @property
    def cropped(self) -> int:
        """Rows or columns that an unpadded axis leaves out, the larger of the two."""
        return max(0 if axis.padded else axis.cropped for axis in self.axes)

    @property
    def imbalance(self) -> int:
        """Of its worse axis, in pixels."""
        return max(abs(axis.imbalance) for axis in self.axes)


def applications(observed: Iterable[Call]) -> list[Application]:
    """How every layer that strides, or pads its two sides differently, applies its padding.

    With input size h, padding p_before and p_after, kernel k, dilation d, stride s and n output pixels, the last
    window reads (n - 1) s + d (k - 1) - p_before - (h - 1) pixels beyond the input. Padding is applied evenly where
    p_before = p_after = that number, which for n = floor((h + p_before + p_after - d (k - 1) - 1) / s) + 1 means
    p_before = p_after and (h + p_before + p_after - d (k - 1) - 1) mod s = 0. Convolutions and poolings are treated
    alike, as in the source; a pooling that rounds its size up (`ceil_mode`) reads padding after the input only.

    Source: Alsallakh et al., Mind the Pad: CNNs can develop blind spots, ICLR 2021 (arXiv 2010.02178), section 3.

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import calls
        >>> net = torch.nn.Conv2d(1, 1, 3, stride=2, padding=1)
        >>> [applications(calls(net, torch.zeros(1, 1, size, size)))[0].even for size in (224, 225)]
        [False, True]
    """
    found = []
    for call in observed:
        if call.geometry is None:
            continue
        g = call.geometry
        left, right, top, bottom = g.padding
        axes = [
            _axis(h, n, before, after, k, s, d)
            for h, n, (before, after), k, s, d in zip(
                call.input_shape[-2:],
                call.output_shape[-2:],
                ((top, bottom), (left, right)),
                g.kernel,
                g.stride,
                g.dilation,
            )
        ]
        if max(g.stride) > 1 or any(axis.before != axis.after for axis in axes):
            found.append(Application(call.name, call.kind, g.kernel, g.stride, (axes[0], axes[1])))
    return found


def _axis(size: int, outputs: int, before: int, after: int, kernel: int, stride: int, dilation: int) -> Axis:
    """One axis of a layer, its reach read off the number of output pixels."""
    return Axis(size, before, after, (outputs - 1) * stride + dilation * (kernel - 1) - before - (size - 1))


def even_size(model: nn.Module, shape: Sequence[int], *, most: int = 64) -> tuple[int, int] | None:
    """The input size (height, width) nearest to (H, W) at which every layer pads evenly; None where there is none.

    Candidates are tried by running the model on zeros; sizes that it rejects are skipped. Height and width do not
    depend on one another, so they are searched together and combined. Evenness repeats with the network's total
    stride, so the search ends there.

    Args:
        shape: of the input, (C, H, W).
        most: forward passes at most.

    Example:
        >>> even_size(nn.Conv2d(1, 1, 3, stride=2, padding=1), (1, 224, 224))
        (225, 225)
    """
    channels, height, width = shape
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    observed = calls(model, torch.zeros(1, channels, height, width, device=device))
    smallest = min((min(call.output_shape[-2:]) for call in observed if call.geometry), default=1)
    period = min(-(-max(height, width) // max(smallest, 1)), most // 2)
    even_height, even_width = None, None
    for offset in sorted(range(-period, period + 1), key=lambda step: (abs(step), -step)):
        size = (height + offset, width + offset)
        if min(size) < 1:
            continue
        tall, wide = _even_axes(model, torch.zeros(1, channels, *size, device=device))
        even_height = size[0] if tall and even_height is None else even_height
        even_width = size[1] if wide and even_width is None else even_width
        if even_height is not None and even_width is not None:
            return even_height, even_width
    return None


def _even_axes(model: nn.Module, images: torch.Tensor) -> tuple[bool, bool]:
    """Whether all layers are even along height and along width on those images; False where the model rejects them."""
    try:
        layers = applications(calls(model, images))
    except Exception:  # whatever a stranger's model raises at a size that it was not made for
        return False, False
    return all(layer.axes[0].even for layer in layers), all(layer.axes[1].even for layer in layers)
