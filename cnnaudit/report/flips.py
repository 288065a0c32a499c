"""Predictions of two reports, image by image: what the newer model gets wrong that the older one got right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cnnaudit.core.statistics import proportion_interval
from cnnaudit.core.statistics.paired import mcnemar_p_value, paired_drop_interval
from cnnaudit.report.model import Report
from cnnaudit.report.words import number, plural

LEVEL = 0.95
LISTED = 20
CLAIM = "negative_flips"


@dataclass(frozen=True, slots=True)
class Flipped:
    """An image that only the older model gets right: its name in the newer report, class, answer and confidences."""

    image: str
    class_name: str
    answer: str
    before: float
    now: float


@dataclass(frozen=True)
class Flips:
    """Images that both reports hold, by their fingerprints.

    Attributes:
        images: how many both hold.
        of: how many the newer report holds.
        right: how many the older model gets right.
        flipped: those that became wrong, the surest mistakes first.
        gained: how many became right.
        by_class: images, became wrong and became right, of each class that has some.
        claim: the share of negative flips that the newer target's file claims, or None.
    """

    images: int
    of: int
    right: int
    flipped: tuple[Flipped, ...]
    gained: int
    by_class: Mapping[str, tuple[int, int, int]]
    claim: float | None

    @property
    def share(self) -> float:
        """Negative flips among the images."""
        return len(self.flipped) / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Exact interval of `share`."""
        return proportion_interval(len(self.flipped), self.images, LEVEL)

    @property
    def breaks(self) -> bool:
        """Whether the share is shown to be above the claim."""
        return self.claim is not None and self.interval[0] > self.claim

    @property
    def sentence(self) -> str:
        """The numbers in words."""
        lost, low, high = len(self.flipped), *(number(bound, "share") for bound in self.interval)
        low_drop, high_drop = paired_drop_interval(lost, self.gained, self.images, LEVEL)
        text = (
            f"Of {plural(self.images, 'image')} in both reports (of {self.of:,}), {lost:,} became wrong "
            f"({number(self.share, 'share')}, {low} to {high}) and {self.gained:,} right: the accuracy changed by "
            f"{_signed((self.gained - lost) / self.images)} ({_signed(-high_drop)} to {_signed(-low_drop)})."
        )
        worse = [(name, counts) for name, counts in self.by_class.items() if self._significant(counts)]
        named = "; ".join(f"{name}, {wrong} of {n} wrong and {right} right" for name, (n, wrong, right) in worse[:3])
        return f"{text} Significantly worse: {named}." if named else text

    def _significant(self, counts: tuple[int, int, int]) -> bool:
        """Whether a class lost more than it gained (exact McNemar test, Bonferroni over the classes)."""
        return mcnemar_p_value(*counts[1:]) <= (1 - LEVEL) / len(self.by_class)

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        return {
            "images": self.images,
            "of": self.of,
            "became_wrong": len(self.flipped),
            "became_right": self.gained,
            "share": self.share,
            "interval": list(self.interval),
            "claim": self.claim,
            "breaks": self.breaks,
            "classes": {
                name: {"images": n, "became_wrong": wrong, "became_right": right}
                for name, (n, wrong, right) in self.by_class.items()
            },
            "became_wrong_images": [
                {
                    "image": one.image,
                    "class": one.class_name,
                    "answer": one.answer,
                    "confidence_before": one.before,
                    "confidence_now": one.now,
                }
                for one in self.flipped
            ],
        }


def flips(a: Report, b: Report) -> Flips | str:
    """Negative flips from report `a` (older) to `b`, or why they cannot be told.

    Images are paired by fingerprint; one that a report holds twice counts once. Classes are matched by name, so that
    another order of the logits does not matter. The label is the newer report's.

    Example:
        >>> flips(Report({"name": "old"}), Report({"name": "new"}))
        'the older report holds no predictions'
    """
    for label, report in (("older", a), ("newer", b)):
        if not report.predictions or "missing" in report.predictions:
            return f"the {label} report holds no predictions"
    older, newer = list(a.target.get("classes", ())), list(b.target.get("classes", ()))
    if sorted(older) != sorted(newer) or len(set(newer)) < len(newer):
        return "the two models have different classes"
    pairs = list(_paired(a, b))
    if not pairs:
        return f"the two reports have no image in common{_another_input(a, b)}"
    place = [newer.index(name) for name in older]
    before, now = _columns(a), _columns(b)
    flipped, gained, by_class = [], 0, {name: [0, 0, 0] for name in newer}
    right = 0
    for i, j in pairs:
        label, answer = now["labels"][j], now["top1"][j]
        was_right, is_right = place[before["top1"][i]] == label, answer == label
        lost, won = was_right and not is_right, is_right and not was_right
        right, gained = right + was_right, gained + won
        for k, counted in enumerate((True, lost, won)):
            by_class[newer[label]][k] += counted
        if lost:
            sure = (before["confidence"][i], now["confidence"][j])
            flipped.append(Flipped(now["names"][j], newer[label], newer[answer], *sure))
    flipped.sort(key=lambda one: (-one.now, one.image))
    counted = {name: (n, lost, won) for name, (n, lost, won) in by_class.items() if n}
    ranked = dict(sorted(counted.items(), key=lambda item: (-item[1][1] / item[1][0], item[0])))
    return Flips(len(pairs), len(now["labels"]), right, tuple(flipped), gained, ranked, _claim(b))


def _columns(report: Report) -> Mapping[str, Any]:
    """The section `predictions`, which is there."""
    return report.predictions or {}


def _paired(a: Report, b: Report) -> Iterator[tuple[int, int]]:
    """Places of the same image in both reports, in the order of the newer one."""
    places: dict[str, int] = {}
    for place, mark in enumerate(_columns(a)["fingerprints"]):
        places.setdefault(mark, place)
    for place, mark in enumerate(_columns(b)["fingerprints"]):
        if mark in places:
            yield places.pop(mark), place


def _another_input(a: Report, b: Report) -> str:
    """The difference in `[input]` that makes the pixels differ, where there is one."""
    for key in ("size", "channels", "resize", "interpolation"):
        old, new = (report.target.get("input", {}).get(key) for report in (a, b))
        if old != new:
            return f": input.{key} was {_shown(old)} and is {_shown(new)}, so that the pixels differ"
    return ": other data, another seed, or another profile"


def _signed(share: float) -> str:
    """A change of a share, with its sign."""
    return ("+" if share > 0 else "") + number(share, "share")


def _shown(value: object) -> str:
    return str(value)[:60]


def _claim(report: Report) -> float | None:
    """The claimed share of negative flips, where the report holds one that can be meant."""
    value = report.target.get("claims", {}).get(CLAIM)
    return float(value) if isinstance(value, (int, float)) and 0 < value <= 1 else None
