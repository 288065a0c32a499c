"""What a report shows of its predictions: input strip, accuracy, confusion, the most confident mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cnnaudit.core.statistics import proportion_interval
from cnnaudit.report.model import Report
from cnnaudit.report.words import number, plural

MOST_CLASSES = 12
LONGEST_LABEL = 40


@dataclass(frozen=True)
class Predicted:
    """The section `predictions` of a report, read.

    Attributes:
        section: as made by `cnnaudit.report.predictions.predictions`.
        classes: the names of the target's classes.
    """

    section: Mapping[str, Any]
    classes: Sequence[str]

    @cached_property
    def pairs(self) -> Counter[tuple[int, int]]:
        """How many images have a label and a prediction."""
        return Counter(zip(self.section["labels"], self.section["top1"]))

    @property
    def right(self) -> int:
        """How many predictions are the label."""
        return sum(self.pairs[k, k] for k in self._counts)

    @property
    def sentence(self) -> str:
        """The accuracy with its interval, and the worst class."""
        right, n = self.right, self._counts.total()
        low, high = (number(bound, "share") for bound in proportion_interval(right, n, 0.95))
        share = f"{number(right / n, 'share')} ({low} to {high})"
        text = f"{right:,} of {n:,} {self.section['split']} images are right: {share}"
        name, few, images = self.per_class[0]
        return f"{text}." if few == images else f"{text}; fewest of class {name}: {few:,} of {images:,}."

    @cached_property
    def per_class(self) -> list[tuple[str, int, int]]:
        """Name, right ones and images of each class that the sample has, the worst first."""
        order = sorted(self._counts, key=lambda k: (self.pairs[k, k] / self._counts[k], k))
        return [(self._name(k), self.pairs[k, k], self._counts[k]) for k in order]

    @property
    def strip(self) -> list[dict[str, str]]:
        """A few images as the model takes them."""
        return [self._shown(place) for place in self.section["strip"]]

    @property
    def mistakes(self) -> list[dict[str, str]]:
        """The most confident mistakes that have a picture, the surest first."""
        labels, top1 = self.section["labels"], self.section["top1"]
        wrong = [place for place in self._pictures if labels[place] != top1[place]]
        return [self._shown(place) for place in sorted(wrong, key=lambda k: (-self.section["confidence"][k], k))]

    @property
    def values(self) -> str:
        """The range of the pixels, and what normalization makes of it."""
        pixels, normalized = (" to ".join(f"{v:.3g}" for v in self.section[key]) for key in ("pixels", "normalized"))
        if self.section["pixels"] == self.section["normalized"]:
            return f"Values {pixels}; the file asks for no normalization."
        return f"Pixels {pixels}, after normalization {normalized}."

    @property
    def matrix(self) -> dict[str, Any] | None:
        """The confusion as a table, its cells with their share of the row; None for very many classes."""
        if len(self.classes) > MOST_CLASSES:
            return None
        every = range(len(self.classes))
        rows = [
            {
                "name": self._name(k),
                "cells": [
                    {
                        "n": self.pairs[k, j],
                        "share": round(100 * self.pairs[k, j] / max(self._counts[k], 1)),
                        "right": j == k,
                    }
                    for j in every
                ],
                "accuracy": number(self.pairs[k, k] / self._counts[k], "share") if self._counts[k] else "",
            }
            for k in every
        ]
        return {"names": [self._name(k) for k in every], "rows": rows}

    @property
    def worst_classes(self) -> list[tuple[str, str, str]]:
        """The worst classes with their accuracy, for more classes than a matrix can show."""
        worst = self.per_class[:MOST_CLASSES]
        return [(name, f"{right:,} of {n:,}", number(right / n, "share")) for name, right, n in worst]

    @property
    def confusions(self) -> list[tuple[str, str, int]]:
        """The most frequent mistakes: label, prediction, images."""
        wrong = sorted((-n, k, j) for (k, j), n in self.pairs.items() if k != j)[:MOST_CLASSES]
        return [(self._name(k), self._name(j), -n) for n, k, j in wrong]

    @property
    def kept(self) -> str:
        """Of how many images this is told."""
        n, every = len(self.section["labels"]), self.section["of"]
        return "" if n == every else f"{plural(n, 'image')} of {every:,} in the split"

    @cached_property
    def _counts(self) -> Counter[int]:
        return Counter(self.section["labels"])

    @cached_property
    def _pictures(self) -> dict[int, str]:
        return {picture["image"]: picture["png"] for picture in self.section["pictures"]}

    def _shown(self, place: int) -> dict[str, str]:
        """An image with what it is and what the model says."""
        label, top1 = self.section["labels"][place], self.section["top1"][place]
        return {
            "png": self._pictures[place],
            "name": self.section["names"][place],
            "label": self._name(label),
            "top1": self._name(top1),
            "right": "yes" if label == top1 else "",
            "confidence": number(self.section["confidence"][place], "share"),
        }

    def _name(self, k: int) -> str:
        name = self.classes[k]
        return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"


def predicted(report: Report) -> Predicted | None:
    """The predictions of a report; None where it has none."""
    section = report.predictions
    return Predicted(section, report.target["classes"]) if section and "missing" not in section else None


def missing(report: Report) -> str:
    """Why a report has no predictions; empty where it has some, or says nothing of them."""
    return str((report.predictions or {}).get("missing", ""))
