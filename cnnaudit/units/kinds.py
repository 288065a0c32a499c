"""The kinds of units, counted per layer: one entry a kind, each with its null and what the literature found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.units.shares import LayerShare, layer_share

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

NONE = "it cannot be measured in any of the layers"
SHUFFLES = 39  # of each unit's weights; p is at least 1 / 40
FEW = 16  # images of the experiments that show each of them several times


@dataclass(frozen=True, eq=False)
class OptimizedUnits:
    """Numbers (n,) of units of a layer, and an optimized image of each, uint8 (n, C, H, W)."""

    units: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class Subject:
    """What is asked: a model that takes pixels, images of its data (n, C, H, W) on its device, a seed.

    Attributes:
        layers: names of all convolutions that have spatial kernels.
        optima: of some of them, optimized images of their units that are not dead.
    """

    model: nn.Module
    images: torch.Tensor
    layers: tuple[str, ...]
    seed: int = 0
    optima: Mapping[str, OptimizedUnits] = field(default_factory=dict)

    @property
    def image(self) -> torch.Tensor:
        """The first image, as a batch."""
        return self.images[:1]

    @cached_property
    def twin(self) -> nn.Module | None:
        """The architecture with fresh weights; None where that cannot be had."""
        from cnnaudit.models.untrained import untrained_twin

        return untrained_twin(self.model, self.images[:FEW], self.seed)

    @cached_property
    def fresh(self) -> Subject | None:
        """The same question to the twin."""
        return None if self.twin is None else Subject(self.twin, self.images, self.layers, self.seed)

    @cached_property
    def ordered(self) -> list[LayerShare]:
        """The units whose rows and columns differ beyond permuted kernels."""
        from cnnaudit.units.border import border_aware

        return border_aware(self.model, "calibrated", image=self.image, seed=self.seed)


@dataclass(frozen=True)
class Kind:
    """A kind of unit.

    Attributes:
        name: its key on the disk.
        title: a word or two, over a column.
        text: which units are meant, in a sentence.
        literature: what the literature found, in a sentence that continues after `found`.
        find: counts them per layer.
    """

    name: str
    title: str
    text: str
    literature: str
    find: Callable[[Subject], list[LayerShare]]


@dataclass(frozen=True)
class Counted:
    """A kind with its rows, or with the reason why there are none."""

    kind: Kind
    rows: tuple[LayerShare, ...] = ()
    reason: str = ""

    def only(self, layers: Collection[str]) -> Counted:
        """The rows of those layers."""
        rows = tuple(row for row in self.rows if row.layer in layers)
        return Counted(self.kind, rows, self.reason or ("" if rows else NONE))

    def of(self, layer: str) -> LayerShare | None:
        """The row of a layer, None where this kind cannot be measured in it."""
        return next((row for row in self.rows if row.layer == layer), None)


def count(kind: Kind, subject: Subject) -> Counted:
    """The rows of the subject's layers."""
    try:
        rows = kind.find(subject)
    except UnsupportedError as error:
        return Counted(kind, reason=str(error))
    return Counted(kind, tuple(rows)).only(subject.layers)


def pooled(rows: Sequence[LayerShare]) -> LayerShare:
    """All layers as one row: its null is the mean of theirs, weighted by their units; None without any."""
    offsets = [sum(row.units for row in rows[:k]) for k in range(len(rows))]
    found = [offset + unit for offset, row in zip(offsets, rows) for unit in row.found]
    units = sum(row.units for row in rows)
    nulls = [(row.null, row.units) for row in rows if row.null is not None]
    null = sum(share * n for share, n in nulls) / sum(n for _, n in nulls) if nulls else None
    names = dict.fromkeys(row.null_name for row in rows if row.null_name)
    return layer_share("all", units, found, null=null, null_name=", ".join(names))


def _published(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units.border import border_aware

    return border_aware(subject.model, image=subject.image, seed=subject.seed)


def _calibrated(subject: Subject) -> list[LayerShare]:
    return subject.ordered


def _confirmed(subject: Subject) -> list[LayerShare]:
    own, twin = _both(subject), _both(subject.fresh) if subject.fresh else {}
    return [
        layer_share(
            layer,
            units,
            found,
            null=len(twin[layer][1]) / units if layer in twin else None,
            null_name="untrained twin" if layer in twin else "",
        )
        for layer, (units, found) in own.items()
    ]


def _both(subject: Subject) -> dict[str, tuple[int, list[int]]]:
    """Per layer how many units it has, and those that are both ordered and confirmed."""
    from cnnaudit.units._noise_padding import noise_padding_of_layers

    confirmed = {
        one.layer: one.confirmed
        for one in noise_padding_of_layers(subject.model, subject.images[:FEW], seed=subject.seed)
    }
    return {
        row.layer: (row.units, [unit for unit in row.found if confirmed[row.layer][unit]])
        for row in subject.ordered
        if row.layer in confirmed
    }


def _gray_kernels(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units.color import WEIGHTS, color_blind, kernel_color

    twin = subject.twin
    null = None if twin is None else kernel_color(twin, subject.image)
    return color_blind(kernel_color(subject.model, subject.image), WEIGHTS, null=null)


def _hue(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units.color import RESPONSE, color_blind, hue_sensitivity

    twin = subject.twin
    null = None if twin is None else hue_sensitivity(twin, subject.images[:FEW])
    return color_blind(hue_sensitivity(subject.model, subject.images[:FEW]), RESPONSE, null=null)


def _hue_of_optima(subject: Subject) -> list[LayerShare]:
    import torch

    from cnnaudit.units.color import OPTIMIZED, color_blind, hue_loss

    if subject.images.shape[1] != 3:
        raise UnsupportedError("gray images have no color")
    if not subject.optima:
        raise UnsupportedError("no layer has optimized images yet: make them with `cnnaudit atlas`")
    readings = []
    for layer, optima in subject.optima.items():
        images = torch.from_numpy(optima.images).float() / 255
        readings.append(hue_loss(subject.model, layer, optima.units.tolist(), images))
    return color_blind(readings, OPTIMIZED)


def _dead(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units._dead import dead

    return dead(subject.model, subject.images, twin=subject.twin)


def _duplicates(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units._duplicates import duplicates

    return duplicates(subject.model, image=subject.image, seed=subject.seed)


def _untrained(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units._kernels import kernels
    from cnnaudit.units.untrained import ALPHA, noise_p_values

    layers = [one for one in kernels(subject.model, subject.image) if one.layer in subject.layers]
    found = noise_p_values(layers, permutations=SHUFFLES, seed=subject.seed)
    return [
        layer_share(row.layer, row.population, row.units[row.noise], null=1 - ALPHA, null_name="initialization")
        for row in found
        if row.tests
    ]


KINDS: tuple[Kind, ...] = (
    Kind(
        "border-published",
        "border-aware (.5)",
        "The rows of its kernels differ, and their columns: largest less smallest Kolmogorov-Smirnov distance of two "
        "of them at least .5, the published threshold.",
        "24 of GoogLeNet's units by this rule (Garriga 2019)",
        _published,
    ),
    Kind(
        "border-calibrated",
        "border-aware (calibrated)",
        "The same beyond 99 % of kernels whose positions are permuted, in each layer. Trained kernels have an order "
        "nearly everywhere, so this finds order of any kind; the next kind tests what such a unit does.",
        "no calibrated threshold",
        _calibrated,
    ),
    Kind(
        "border-confirmed",
        "border-aware, confirmed",
        "Of those, the units whose response at a side of the map is at least twice that inside, and which noise in "
        "place of the padding silences while noise inside does not: the duality experiment.",
        "about 2 % of GoogLeNet's units, by eye, and the experiment on one of them (Garriga 2019)",
        _confirmed,
    ),
    Kind(
        "gray-kernels",
        "color-blind (kernels)",
        "Its kernels are nearly the same for red, green and blue; measured in the layers that read the image.",
        "no reading of the kernels",
        _gray_kernels,
    ),
    Kind(
        "hue",
        "color-blind (hue)",
        "Its responses hardly change when the hue of the images is rotated at constant brightness.",
        "no reading of the responses",
        _hue,
    ),
    Kind(
        "hue-of-optima",
        "color-blind (optimized images)",
        "Its optimized image (from the atlas, where there is one) keeps nearly all of its activation when its hue "
        "is rotated. The share is of all units of the layer.",
        "336 by the spread of the colors of their optimized images, 43 by eye (Garriga 2019)",
        _hue_of_optima,
    ),
    Kind(
        "dead",
        "dead",
        "It fires at no position of any image.",
        "units stuck at 0, which were skipped (Lees 2017)",
        _dead,
    ),
    Kind(
        "duplicates",
        "duplicates",
        "Its kernels are those of another unit of the layer, up to sign, rotation and flip (correlation at least .9).",
        "many filters that are copies or rotated copies (Lees 2017)",
        _duplicates,
    ),
    Kind(
        "untrained",
        "indistinguishable from noise",
        "Its weights could be independent draws from one distribution, as before training (p above .05).",
        "filters that look like noise where training was too short (Lees 2017)",
        _untrained,
    ),
)


def kinds_on_disk(counted: Counted) -> dict[str, Any]:
    """A counted kind as plain JSON values."""
    return {"reason": counted.reason, "rows": [dict(vars(row)) for row in counted.rows]}


def kinds_from_disk(kind: Kind, stored: dict[str, Any]) -> Counted:
    """What `kinds_on_disk` made."""
    return Counted(kind, tuple(_rows(stored["rows"])), str(stored["reason"]))


def _rows(stored: Sequence[dict[str, Any]]) -> Iterator[LayerShare]:
    for row in stored:
        yield LayerShare(**{**row, "found": tuple(row["found"]), "interval": tuple(row["interval"])})
