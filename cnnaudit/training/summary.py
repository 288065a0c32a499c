"""What a search found: the smallest sufficient network as a bound with its confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit.core.statistics import proportion_interval
from cnnaudit.training._grid import Architecture
from cnnaudit.training.results import Row


@dataclass(frozen=True)
class Summary:
    """One architecture's networks of one purpose, at the most epochs that it was given.

    Attributes:
        rows: one for each seed (and draw of the data).
        target: the accuracy asked for.
    """

    architecture: Architecture
    rows: tuple[Row, ...]
    target: float

    @property
    def parameters(self) -> int:
        """Weights and biases of the network."""
        return self.architecture.parameters

    @property
    def given(self) -> int:
        """Epochs that each network was given."""
        return self.rows[0].given

    @property
    def best(self) -> Row:
        """The network with the highest training accuracy; of equal ones the first."""
        return max(self.rows, key=lambda row: row.train_accuracy)

    @property
    def groups(self) -> tuple[Summary, ...]:
        """The rows by draw and order of the data: each group is one try of 'the best of so many seeds'."""
        ids = dict.fromkeys((row.draw, row.order_seed) for row in self.rows)
        return tuple(
            Summary(
                self.architecture,
                tuple(row for row in self.rows if (row.draw, row.order_seed) == id),
                self.target,
            )
            for id in ids
        )

    @property
    def confirmed(self) -> bool:
        """Whether at least half of the groups' best networks by training accuracy reach it on the validation images."""
        chosen = [group.best for group in self.groups]
        return 2 * sum(row.validation_accuracy >= self.target for row in chosen) >= len(chosen)

    @property
    def reached(self) -> int:
        """How many networks have the accuracy asked for on the validation images."""
        return sum(row.validation_accuracy >= self.target for row in self.rows)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The exact binomial interval of the share of seeds that reach the accuracy."""
        return proportion_interval(self.reached, len(self.rows), confidence)

    @property
    def dead(self) -> int:
        """How many networks died or diverged."""
        return sum(row.outcome in ("dead", "diverged") for row in self.rows)

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile of the validation accuracy over all seeds, dead ones included."""
        low, middle, high = np.quantile([row.validation_accuracy for row in self.rows], [0.25, 0.5, 0.75])
        return float(low), float(middle), float(high)

    def record(self) -> dict[str, Any]:
        """The summary as plain values, for a table."""
        low, middle, high = self.quartiles
        return {
            "parameters": self.parameters,
            "network": str(self.architecture),
            "epochs": self.given,
            "seeds": len(self.rows),
            "reached": self.reached,
            "dead": self.dead,
            "train_accuracy": self.best.train_accuracy,
            "validation_accuracy": self.best.validation_accuracy,
            "q25": low,
            "median": middle,
            "q75": high,
        }


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        target_accuracy: what was asked for.
        smallest: the fresh networks of the smallest architecture that was confirmed; None: there is none.
        summaries: all architectures that were tried, by parameters, as they were screened.
        confirmations: the fresh networks of every candidate, in the order in which they were tried.
        complete: whether the search came to its end within its budget.
        learnable: whether any network did better on the validation images than always answering the most frequent
            class; if not, the search stopped early.
        ceiling, majority: the highest accuracy that the labels allow, and the accuracy of the most frequent class.
        images: numbers of training and validation images.
        architectures: size of the grid.
        missing: tasks that were known to be wanted and were not trained, because the time was over.
        seconds: wall time of this run.
    """

    target_accuracy: float
    smallest: Summary | None
    summaries: tuple[Summary, ...]
    confirmations: tuple[Summary, ...]
    complete: bool
    learnable: bool
    ceiling: float
    majority: float
    images: tuple[int, int]
    architectures: int
    missing: int
    seconds: float

    @property
    def smaller(self) -> tuple[Summary, ...]:
        """The architectures with fewer parameters than the smallest that was confirmed, or all of them."""
        if self.smallest is None:
            return self.summaries
        return tuple(s for s in self.summaries if s.parameters < self.smallest.parameters)

    @property
    def nearest(self) -> Summary | None:
        """Of the smaller ones, the one that came nearest by training accuracy among those trained longest."""
        longest = max((s.given for s in self.smaller), default=0)
        return max((s for s in self.smaller if s.given == longest), key=lambda s: s.best.train_accuracy, default=None)

    def table(self) -> list[dict[str, Any]]:
        """One record for each architecture tried, by parameters; the same however often the search was interrupted."""
        return [summary.record() for summary in self.summaries]

    def answer(self) -> str:
        """The bound in a few sentences, with its confidence and what it was chosen among."""
        return " ".join(self.sentences())

    def sentences(self) -> list[str]:
        """The sentences of `answer`, the bound first."""
        return [*self._bound(), *self._notes()]

    def _notes(self) -> list[str]:
        notes = [f"{len(self.summaries)} of the grid's {self.architectures} architectures were tried."]
        if failed := [str(summary.parameters) for summary in self.confirmations if not summary.confirmed]:
            notes.append(f"Reached by training accuracy but not confirmed: {', '.join(failed)} parameters.")
        if not self.complete:
            notes.append(
                f"The time was over before the search was: at least {self.missing} stacks of networks are missing. Go "
                "on with the same results file and more time."
            )
        return notes

    def _bound(self) -> list[str]:
        if not self.learnable:
            return [
                f"The labels cannot be learned by these networks: none does better on {self.images[1]} validation "
                f"images than always answering the most frequent class ({self.majority:.3f})."
            ]
        if self.smallest is None:
            return [self._nothing()]
        found, count = self.smallest, len(self.smallest.rows)
        low, high = found.interval()
        chosen = found.best
        lines = [
            f"{found.parameters} parameters ({found.architecture}) reach {self.target_accuracy:.3f} on validation "
            f"images in {found.reached} of {count} fresh seeds (95 % interval {low:.0%} to {high:.0%}; {found.dead} "
            f"dead); best by training accuracy: training {chosen.train_accuracy:.3f}, validation "
            f"{chosen.validation_accuracy:.3f}; validation quartiles {' / '.join(f'{q:.3f}' for q in found.quartiles)}."
        ]
        near = self.nearest
        if near is None:
            return [*lines, "The grid has no smaller network."]
        seeds = len(near.rows)
        _, most = proportion_interval(near.reached, seeds)
        lines.append(
            f"None of the {len(self.smaller)} smaller architectures tried does: the nearest has {near.parameters} "
            f"parameters ({near.architecture}), training {near.best.train_accuracy:.3f}, validation "
            f"{near.best.validation_accuracy:.3f} ({near.reached} of {seeds} seeds; at most {most:.0%} of seeds could)."
        )
        return lines

    def _nothing(self) -> str:
        if not self.summaries:
            return "Nothing is known yet: no network was trained within the budget."
        near = max(self.summaries, key=lambda s: s.best.train_accuracy)
        found = (
            f"the best by training accuracy has {near.parameters} parameters ({near.architecture}), training "
            f"{near.best.train_accuracy:.3f}, validation {near.best.validation_accuracy:.3f}."
        )
        if self.complete:
            return f"No network tried reaches {self.target_accuracy:.3f} on validation images: {found}"
        reached = [s.parameters for s in self.summaries if s.best.train_accuracy >= self.target_accuracy]
        so_far = f"{min(reached)} parameters reached it in training, not confirmed" if reached else "none reached it"
        return f"So far {so_far}; {found}"


def summarize(rows: Sequence[Row], target: float) -> tuple[Summary, ...]:
    """A summary for each architecture, by parameters, of its rows with the most epochs."""
    longest: dict[Architecture, int] = {}
    for row in rows:
        longest[row.architecture] = max(longest.get(row.architecture, 0), row.given)
    found = [
        Summary(network, tuple(r for r in rows if r.architecture == network and r.given == given), target)
        for network, given in longest.items()
    ]
    return tuple(sorted(found, key=lambda s: (s.parameters, str(s.architecture))))
