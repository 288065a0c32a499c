"""Other ways of feeding a model, and how many more labels each explains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cnnaudit.core.errors import AuditError
from cnnaudit.core.statistics import proportion_interval

if TYPE_CHECKING:
    from cnnaudit.target import InputSpec

Answer = Callable[[torch.Tensor], torch.Tensor]
LOOKS = (32, 128, 512)  # images after which an input may be settled; at last, all of them

# The usual values of input.scale, input.mean and input.std, by their name, in the order of RGB.
_COLOR: Mapping[str, tuple[float, tuple[float, ...], tuple[float, ...]]] = {
    "pixels in [0, 1]": (1, (0, 0, 0), (1, 1, 1)),
    "pixels in [0, 255]": (255, (0, 0, 0), (1, 1, 1)),
    "pixels divided by 255 twice": (1 / 255, (0, 0, 0), (1, 1, 1)),
    "pixels in [-1, 1]": (1, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "the mean and std of ImageNet": (1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "the mean and std of CIFAR-10": (1, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "the mean of Caffe's models": (255, (123.68, 116.779, 103.939), (1, 1, 1)),
}
_GRAY: Mapping[str, tuple[float, tuple[float, ...], tuple[float, ...]]] = {
    **{name: (scale, mean[:1], std[:1]) for name, (scale, mean, std) in list(_COLOR.items())[:4]},
    "the mean and std of MNIST": (1, (0.1307,), (0.3081,)),
}


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another input: `change` gives the model, through the input that the file describes, what that input would give.

    Attributes:
        name: such as `input.order = "BGR"`.
        images: the images themselves, where they are read anew (another resize); None: those of the sample.
    """

    name: str
    change: Callable[[torch.Tensor], torch.Tensor]
    images: Callable[[np.ndarray], torch.Tensor] | None = None


@dataclass(frozen=True, slots=True)
class Gain:
    """How much more often the model is right with another input, on the same images.

    Attributes:
        before, after: right answers of the `n` images with the described and with the other input.
        low, high: bounds of the gain, in shares of images.
    """

    name: str
    before: int
    after: int
    n: int
    low: float
    high: float

    @property
    def gain(self) -> float:
        """Accuracy with the other input less that with the described one."""
        return (self.after - self.before) / self.n


def other_inputs(spec: InputSpec) -> Iterator[Alternative]:
    """The usual inputs that differ from the described one: normalization, channel order, inversion.

    With y = (x scale - mean) / std fed to the network today, and y' wanted, the model is given the pixels
    (y' std + mean) / scale, which its own normalization turns into y'.

    Example:
        >>> from cnnaudit.target import InputSpec
        >>> [other.name for other in other_inputs(InputSpec(channels=1, size=(28, 28)))][-1]
        'black and white exchanged'
    """
    usual = _COLOR if spec.channels == 3 else _GRAY
    for order in ("RGB", "BGR") if spec.channels == 3 else (spec.order,):
        mean, std = (_ordered(values, order, spec) for values in (spec.mean, spec.std))
        described = replace(spec, order=order, mean=mean, std=std)
        wanted = [
            (name, replace(spec, order=order, scale=scale, mean=_ordered(mean, order), std=_ordered(std, order)))
            for name, (scale, mean, std) in usual.items()
        ]
        if not any(_same(described, other) for _, other in wanted):
            wanted.insert(0, ("", described))
        different = [(name, other) for name, other in wanted if not _same(other, spec)]
        yield from (Alternative(_words(other, spec, name), _as_if(spec, other)) for name, other in different)
    yield Alternative("black and white exchanged", lambda pixels: 1 - pixels)


def gains(
    answer: Answer,
    images: torch.Tensor,
    labels: torch.Tensor,
    right: np.ndarray,
    others: Sequence[Alternative],
    order: np.ndarray,
    tolerance: float,
    confidence: float,
) -> list[Gain]:
    """The gain of each alternative, largest first, each on as many images as it takes to settle it.

    The bounds are exact: with b images that only the other input gets right and c that only the described one does,
    the gain (b - c) / n lies between the bounds of b less those of c (Clopper and Pearson; as in McNemar's test the
    other images do not count). Lower bounds hold for all alternatives at once (Bonferroni), upper bounds for each, as
    a pass needs all of them (intersection-union test); both are corrected for the looks at growing parts of the
    sample. An alternative that the model refuses explains nothing and is left out.

    Args:
        right: whether the model is right with the described input (n,).
        order: a random order of the images; parts of the sample are taken from its start.
    """
    looks = [n for n in LOOKS if n < len(images)] + [len(images)]
    each = 1 - (1 - confidence) / len(looks)
    together = 1 - (1 - each) / max(len(others), 1)
    found = []
    for other in others:
        after = np.zeros(0, dtype=bool)
        try:
            for end in looks:
                rows = order[len(after) : end]
                pixels = images[rows] if other.images is None else other.images(rows)
                answers = answer(other.change(pixels)).argmax(1)
                after = np.concatenate([after, (answers == labels[rows]).numpy()])
                gain = paired_gain(other.name, right[order[:end]], after, together, each)
                if gain.gain <= 0 and gain.high <= tolerance:
                    break
        except AuditError:
            continue
        found.append(gain)
    return sorted(found, key=lambda gain: -gain.gain)


def paired_gain(name: str, before: np.ndarray, after: np.ndarray, below: float, above: float) -> Gain:
    """The gain in accuracy of the same images, its bounds at the confidence `below` and `above` it.

    Example:
        >>> gain = paired_gain("x", np.array([True] * 10), np.array([True] * 9 + [False]), 0.95, 0.95)
        >>> gain.gain, gain.low < -0.1 < gain.high
        (-0.1, True)
    """
    n, gained, lost = len(before), int((after & ~before).sum()), int((before & ~after).sum())

    def bounds(confidence: float) -> tuple[float, float]:
        more, less = (proportion_interval(k, n, 1 - (1 - confidence) / 2) for k in (gained, lost))
        return more[0] - less[1], more[1] - less[0]

    return Gain(name, int(before.sum()), int(after.sum()), n, bounds(below)[0], bounds(above)[1])


def _same(one: InputSpec, other: InputSpec) -> bool:
    """Whether both feed the network the same numbers."""
    mine, theirs = ((spec.scale, *_wide(spec.mean, spec), *_wide(spec.std, spec)) for spec in (one, other))
    return one.order == other.order and bool(np.allclose(mine, theirs))


def _ordered(values: Sequence[float], order: str, spec: InputSpec | None = None) -> tuple[float, ...]:
    """Values of the channels in that order; those given are in the order of `spec`, or RGB."""
    return tuple(values) if order == (spec.order if spec else "RGB") else tuple(reversed(values))


def _wide(values: Sequence[float], spec: InputSpec) -> list[float]:
    """One value per channel."""
    return list(values) * (spec.channels if len(values) == 1 else 1)


def _as_if(spec: InputSpec, wanted: InputSpec) -> Callable[[torch.Tensor], torch.Tensor]:
    """The change of pixels under which the described input feeds what the wanted one would."""

    def change(pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.flip(1) if wanted.order == "BGR" else pixels
        fed = (x * wanted.scale - _column(wanted.mean, x)) / _column(wanted.std, x)
        back = (fed * _column(spec.std, x) + _column(spec.mean, x)) / spec.scale
        return back.flip(1) if spec.order == "BGR" else back

    return change


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values).to(like).view(1, -1, 1, 1)


def _words(wanted: InputSpec, spec: InputSpec, name: str) -> str:
    """The keys of the audit file that differ, with their values."""
    values = [f'input.order = "{wanted.order}"'] if wanted.order != spec.order else []
    reordered = replace(wanted, order=spec.order, mean=_ordered(wanted.mean, spec.order, wanted))
    if not _same(replace(reordered, std=_ordered(wanted.std, spec.order, wanted)), spec):
        keys = [f"scale = {wanted.scale:.6g}", f"mean = {_listed(wanted.mean)}", f"std = {_listed(wanted.std)}"]
        values.append(f"{name} (input.{', '.join(keys)})")
    return " and ".join(values)


def _listed(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
