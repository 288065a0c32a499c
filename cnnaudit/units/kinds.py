"""The kinds of units, counted per layer: one entry a kind, each with its null and what the literature found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.references import published
from cnnaudit.units import _kind_counts as counting
from cnnaudit.units._kind_subject import Subject
from cnnaudit.units.shares import LayerShare, layer_share

NONE = "it cannot be measured in any of the layers"


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


KINDS: tuple[Kind, ...] = (
    Kind(
        "border-published",
        "border-aware (.5)",
        "The rows of its kernels differ, and their columns: largest less smallest Kolmogorov-Smirnov distance of two "
        "of them at least .5, the published threshold.",
        f"{published('border_aware.rule.sum').value:.0f} of GoogLeNet's units by this rule (Garriga 2019)",
        counting.published_border,
    ),
    Kind(
        "border-calibrated",
        "border-aware (calibrated)",
        "The same beyond 99 % of kernels whose positions are permuted, in each layer. Trained kernels have an order "
        "nearly everywhere, so this finds order of any kind; the next kind tests what such a unit does.",
        "no calibrated threshold",
        counting.calibrated_border,
    ),
    Kind(
        "border-confirmed",
        "border-aware, confirmed",
        "Of those, the units whose response at a side of the map is at least twice that inside, and which noise in "
        "place of the padding silences while noise inside does not: the duality experiment.",
        f"{published('border_aware.eye.sum').value:.0f} of GoogLeNet's {published('googlenet.units').value:,.0f} units "
        "by eye, and the experiment on one of them (Garriga 2019)",
        counting.confirmed_border,
    ),
    Kind(
        "gray-kernels",
        "color-blind (kernels)",
        "Its kernels are nearly the same for red, green and blue; measured in the layers that read the image.",
        "no reading of the kernels",
        counting.gray_kernels,
    ),
    Kind(
        "hue",
        "color-blind (hue)",
        "Its responses hardly change when the hue of the images is rotated at constant brightness.",
        "no reading of the responses",
        counting.hue,
    ),
    Kind(
        "hue-of-optima",
        "color-blind (optimized images)",
        "Its optimized image (from the atlas, where there is one) keeps nearly all of its activation when its hue "
        "is rotated. The share is of all units of the layer.",
        f"{published('color_blind.rule.sum').value:.0f} by the spread of the colors of their optimized images, "
        f"{published('color_blind.eye.sum').value:.0f} by eye (Garriga 2019)",
        counting.hue_of_optima,
    ),
    Kind(
        "peaks-of-optima",
        "color-blind (published rule)",
        "The most frequent levels of red, green and blue in its optimized image (from the atlas) spread by at most "
        "3 of 255: the published rule, which sees the background that an optimum began with.",
        "39 41 38 33 14 31 42 36 62 of GoogLeNet's units, mixed3a to mixed5b; 40 2 1 0 0 0 0 0 0 by eye (Garriga "
        "2019, tables 1 and 3)",
        counting.peaks_of_optima,
    ),
    Kind(
        "dead",
        "dead",
        "It fires at no position of any image.",
        "units stuck at 0, which were skipped (Lees 2017)",
        counting.dead_units,
    ),
    Kind(
        "duplicates",
        "duplicates",
        "Its kernels are those of another unit of the layer, up to sign, rotation and flip (correlation at least .9).",
        "many filters that are copies or rotated copies (Lees 2017)",
        counting.copied,
    ),
    Kind(
        "untrained",
        "indistinguishable from noise",
        "Its weights could be independent draws from one distribution, as before training (p above .05).",
        "filters that look like noise where training was too short (Lees 2017)",
        counting.like_noise,
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
