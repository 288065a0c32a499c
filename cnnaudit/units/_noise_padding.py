"""The experiment that tells a unit that looks for the border: noise in place of the padding silences it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.core.wording import listed

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.interventions import Call

MEANS = ("border", "interior", "noise_padding", "noise_inside")
SIDES = ("top", "bottom", "left", "right")
SPECIFIC = 2.0  # how much more a unit must answer at its side than inside
SILENT = 0.5  # below this share of its answer a unit has fallen silent


@dataclass(frozen=True, eq=False)
class NoisePadding:
    """What the units of a layer answer at the border, with its zeros and with noise in their place.

    Attributes:
        layer: the convolution.
        units: (n,) their numbers.
        sides: (n,) the side where each answers most: top, bottom, left or right.
        border: (n,) mean answer there, of the network as it is.
        interior: (n,) mean answer where no window reaches the padding.
        noise_padding: (n,) at the side, with noise in place of the padding.
        noise_inside: (n,) at the side, with noise in place of the layer's input, its padding as it is.
        images: how many images these means are over.
    """

    layer: str
    units: np.ndarray
    sides: np.ndarray
    border: np.ndarray
    interior: np.ndarray
    noise_padding: np.ndarray
    noise_inside: np.ndarray
    images: int

    @property
    def specific(self) -> np.ndarray:
        """(n,) whether the unit answers at its side at least twice as much as inside."""
        return np.asarray((self.border > 0) & (self.border >= SPECIFIC * self.interior))

    @property
    def silenced(self) -> np.ndarray:
        """(n,) whether noise in place of the padding takes more than half of the answer away."""
        return np.asarray((self.border > 0) & (self.noise_padding < SILENT * self.border))

    @property
    def kept(self) -> np.ndarray:
        """(n,) whether noise inside leaves at least half of the answer."""
        return np.asarray((self.border > 0) & (self.noise_inside >= SILENT * self.border))

    @property
    def confirmed(self) -> np.ndarray:
        """(n,) `specific`, `silenced` and `kept`: the unit answers to the border, and to nothing else."""
        return np.asarray(self.specific & self.silenced & self.kept)


def noise_padding(
    model: nn.Module,
    images: torch.Tensor,
    layer: str,
    units: Iterable[int] | None = None,
    *,
    seed: int = 0,
    batch_size: int = 16,
) -> NoisePadding:
    """What units of a layer answer at the border of its map, with the padding, with noise for it, with noise inside.

    An answer is the positive part of what the activation function after the layer gives (or of the layer itself where
    none follows), averaged over the outermost positions of a side whose windows reach the padding, and over images.
    Noise is uniform in the range of the layer's own input, for each image and channel; one layer is changed, the
    others are as they are. The side of a unit is chosen on every second image and measured on the others, so that the
    choice does not favor the unchanged network.

    Alone it proves little: where inputs are positive, zeros around them excite any unit whose window sums to less than
    nothing. 8 % of the units of an untrained Inception v3 pass, 7 % of the trained one. Of those whose kernel lines
    differ beyond permuted kernels too (`border_aware`, calibrated) there are 3.5 % in the trained network and .1 % in
    the other.

    Args:
        images: (N, C, H, W), at least 2, on the model's device.
        layer: a convolution as `interventions.calls` names it.
        units: their numbers; None: all.

    Raises:
        DataError: fewer than 2 images, or a number that is no unit of the layer.
        UnsupportedError: the layer pads nothing, has no position that the padding does not reach, or hides its calls.
        LayerError: the model has no such layer.

    Source: C. Garriga, Studying the characterisation of deep CNN neurons, 2019, section 4.1.2 ("duality").

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1, bias=False), torch.nn.ReLU())
        >>> with torch.no_grad():  # bright above the pixel is bad, bright at the pixel is good
        ...     _ = model[0].weight.zero_()
        ...     model[0].weight[0, 0, 0], model[0].weight[0, 0, 1] = -1.0, 1.0
        >>> found = noise_padding(model, torch.full((4, 1, 9, 9), 0.9) + torch.rand(4, 1, 9, 9) / 10, "0")
        >>> found.sides.tolist(), found.confirmed.tolist()
        (['top'], [True])
    """
    found = noise_padding_of_layers(model, images, [layer], seed=seed, batch_size=batch_size)[0]
    if units is None:
        return found
    chosen = _chosen(units, len(found.units), layer)
    return replace(found, **{name: getattr(found, name)[chosen] for name in ("units", "sides", *MEANS)})


def noise_padding_of_layers(
    model: nn.Module,
    images: torch.Tensor,
    layers: Sequence[str] | None = None,
    *,
    seed: int = 0,
    batch_size: int = 16,
) -> list[NoisePadding]:
    """`noise_padding` of all units of several layers, in one pass: each layer is asked on the input that it has anyway.

    Args:
        layers: convolutions that pad; None: all that do and whose maps have an interior.

    Raises:
        UnsupportedError: None is given and there is no such layer; else as `noise_padding`.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.Conv2d(2, 3, 1))
        >>> [(found.layer, len(found.units)) for found in noise_padding_of_layers(model, torch.rand(4, 1, 9, 9))]
        [('0', 2)]
    """
    from cnnaudit.interventions.batches import in_batches
    from cnnaudit.interventions.images import require_images
    from cnnaudit.interventions.modes import evaluating
    from cnnaudit.units.padding_ablation import PaddingAblation

    require_images(images)
    if len(images) < 2:
        raise DataError(f"noise_padding: expected at least 2 images (one half chooses the side), got {len(images)}")
    rings = rings_of(model, images, layers)
    with evaluating(model):
        answers = PaddingAblation(model, rings, seed)
        parts = in_batches(answers, images, batch_size=batch_size, bound=getattr(model, "batch", None))
    return [_measured(layer, part.double().cpu().numpy()) for layer, part in zip(rings, parts)]


def _measured(layer: str, answers: np.ndarray) -> NoisePadding:
    """The means of (N, units, 3, 5): the network as it is, noise padding, noise inside; four sides and the interior."""
    side = np.nan_to_num(answers[::2, :, 0, :4].mean(axis=0), nan=-1.0).argmax(axis=1)
    means = answers[1::2].mean(axis=0)
    border, noise_padding, noise_inside = means[np.arange(len(side)), :, side].T
    names, units = np.array(SIDES)[side], np.arange(len(side))
    return NoisePadding(layer, units, names, border, means[:, 0, 4], noise_padding, noise_inside, len(answers) // 2)


def _chosen(units: Iterable[int] | None, total: int, layer: str) -> np.ndarray:
    """The numbers of the units that are asked for."""
    chosen = np.arange(total) if units is None else np.array(list(units), dtype=int)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= total):
        raise DataError(f"noise_padding: {layer} has units 0 to {total - 1}, got {chosen.tolist()[:8]}")
    return chosen


def rings_of(
    model: nn.Module, images: torch.Tensor, layers: Sequence[str] | None = None
) -> dict[str, tuple[int, int, int, int]]:
    """The layers that the experiment can be made on: how much of their maps the padding reaches.

    Rows at the top and bottom, columns at the left and right whose windows hold padding. Arguments and errors as in
    `noise_padding_of_layers`.
    """
    from cnnaudit.interventions import LayerError, calls
    from cnnaudit.interventions.modes import evaluating

    with evaluating(model):
        observed = calls(model, images[:1].expand(getattr(model, "batch", None) or 1, *images.shape[1:]))
    every = {call.name: call for call in observed if call.kind == "conv2d"}
    unknown = [name for name in layers or () if name not in every]
    if unknown:
        raise LayerError(
            f"noise_padding: no 2-d convolution of a pass is called {unknown[0]!r}; there are {listed(every)}"
        )
    found = {}
    for name in every if layers is None else layers:
        reason, rings = _rings(every[name])
        if not reason:
            found[name] = rings
        elif layers is not None:
            raise UnsupportedError(f"layer {name}: {reason}")
    if not found:
        raise UnsupportedError("no convolution puts padding around its input, or none has a map with an interior")
    return found


def _rings(call: Call) -> tuple[str, tuple[int, int, int, int]]:
    """Why the layer cannot be asked, empty where it can, and its rings."""
    geometry = call.geometry
    assert geometry is not None
    left, _, top, _ = geometry.padding
    found = []
    for axis, before in ((0, top), (1, left)):
        size, stride = call.input_shape[-2:][axis], geometry.stride[axis]
        reach = geometry.dilation[axis] * (geometry.kernel[axis] - 1)
        starts = np.arange(call.output_shape[-2:][axis]) * stride - before
        found += [int((starts < 0).sum()), int((starts + reach >= size).sum())]
    height, width = call.output_shape[-2:]
    reason = ""
    if not any(geometry.padding):
        reason = "puts no padding around its input, there is nothing to replace"
    elif found[0] + found[1] >= height or found[2] + found[3] >= width:
        reason = f"the padding reaches every position of its map ({height} x {width})"
    return reason, (found[0], found[1], found[2], found[3])
