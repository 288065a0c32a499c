"""The decisions of a search: which networks are worth more epochs, and whether the smallest holds up on fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnnaudit.core.statistics import proportion_p_value
from cnnaudit.training._grid import Architecture
from cnnaudit.training.arrays import majority
from cnnaudit.training.executor import Work, tasks
from cnnaudit.training.results import Row
from cnnaudit.training.summary import Summary

FRESH = 1_000  # the first seed of a confirmation, far from those of the screening
MOST_CANDIDATES = 8
PROBES = 8
KEPT = 4  # one in so many goes on to four times the epochs, so that all rungs cost alike
FEWEST_KEPT = 4
LEARNABLE_ALPHA = 0.01
FEWEST_STEPS = 1_000


@dataclass
class Hunt:
    """Screening and confirmation as `search` describes them, decided by the rows alone.

    Attributes:
        work: trains what is asked of it, unless its results hold it already or its time is over.
        grid: architectures, by parameters.
        learnable: False once the largest probes did no better than the most frequent class.
        confirmations: the fresh networks of every candidate so far.
    """

    work: Work
    grid: Sequence[Architecture]
    target: float
    seeds: int
    epochs: int
    tries: int
    learnable: bool = True
    confirmations: list[Summary] = field(default_factory=list)

    def run(self) -> Summary | None:
        """The fresh networks of the smallest architecture that is confirmed, if there is one."""
        goal, rejected = self.target, set[Architecture]()
        while len(rejected) < MOST_CANDIDATES:
            networks = [network for network in self.grid if network not in rejected]
            candidate = self.screen(goal, networks) if networks else None
            found = self.confirm(candidate) if candidate else None
            if candidate is None or found is None:
                return None
            self.confirmations.append(found)
            if found.confirmed:
                return found
            rejected.add(candidate)
            goal = self.raised(goal, found)
        return None

    def screen(self, goal: float, networks: Sequence[Architecture]) -> Architecture | None:
        """The smallest network whose best seed's training accuracy reaches the goal, by successive halving."""
        rungs = self.rungs()
        places = np.linspace(0, len(networks) - 1, PROBES).round().astype(int)
        probes = [networks[k] for k in dict.fromkeys(places.tolist())]
        self.train(probes, rungs[0])
        if not self.is_learnable(probes, goal, rungs):
            return None
        alive = list(networks)
        for given in rungs:
            alive = self.undecided(alive, networks, goal)
            self.train(alive, given)
            if given != rungs[-1]:
                best, alive = self.best(), self.undecided(alive, networks, goal)
                ranked = sorted(alive, key=lambda network: -best.get(network, 0.0))
                kept = set(ranked[: max(FEWEST_KEPT, -(-len(alive) // KEPT))])
                alive = [network for network in alive if network in kept]
        best = self.best()
        reached = [network for network in networks if best.get(network, 0.0) >= goal]
        if self.work.late:
            return None
        return min(reached, key=lambda network: (network.parameters, -best[network]), default=None)

    def rungs(self) -> list[int]:
        """Epochs of the rungs, each about four times the one before; the first has at least 1,000 steps if all have."""
        first = max(1, self.epochs // KEPT**2, -(-FEWEST_STEPS // self.steps_of_an_epoch))
        return sorted({min(first, self.epochs), round(min(first * self.epochs, self.epochs**2) ** 0.5), self.epochs})

    @property
    def steps_of_an_epoch(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.work.data[1]) // self.work.batch_size)

    def confirm(self, candidate: Architecture) -> Summary | None:
        """The candidate's networks from fresh seeds; None where there was no time to train them."""
        wanted = [
            task
            for k in range(self.tries)
            for task in tasks(
                [candidate],
                range(FRESH + k * self.seeds, FRESH + (k + 1) * self.seeds),
                self.epochs,
                purpose="confirm",
                order_seed=k + 1,
                draw=k + 1 if self.work.draws else 0,
            )
        ]
        self.work.train(wanted, f"confirming {candidate.parameters} parameters")
        if self.work.late:
            return None
        rows = [self.work.results[key] for task in wanted for key in task.trainings()]
        return Summary(candidate, tuple(rows), self.target)

    def raised(self, goal: float, found: Summary) -> float:
        """The goal after a candidate failed: the target and the gap between its training and validation accuracy.

        Where the candidate failed in training already (its seeds were lucky), the goal stays.
        """
        chosen = [group.best for group in found.groups]
        if np.median([row.train_accuracy for row in chosen]) < goal:
            return goal
        gap = float(np.median([row.train_accuracy - row.validation_accuracy for row in chosen]))
        return max(goal, min(self.target + gap, self.work.stop))

    def train(self, networks: Sequence[Architecture], given: int) -> None:
        """Train networks from the seeds of the screening, where that was not done yet."""
        self.work.train(tasks(networks, range(self.seeds), given), f"{len(networks)} networks, {given} epochs")

    def screened(self) -> dict[Architecture, list[Row]]:
        """The rows of the screening, by architecture."""
        found: dict[Architecture, list[Row]] = {}
        for row in self.work.rows:
            if row.purpose == "screen":
                found.setdefault(row.architecture, []).append(row)
        return found

    def best(self) -> dict[Architecture, float]:
        """The highest training accuracy among each architecture's seeds, whatever epochs they were given."""
        return {network: max(row.train_accuracy for row in rows) for network, rows in self.screened().items()}

    def undecided(
        self, networks: Sequence[Architecture], among: Sequence[Architecture], goal: float
    ) -> list[Architecture]:
        """Those that did not reach the goal yet and are smaller than the smallest among all that did."""
        best = self.best()
        bound = min((network.parameters for network in among if best.get(network, 0.0) >= goal), default=None)
        return [
            network
            for network in networks
            if best.get(network, 0.0) < goal and (bound is None or network.parameters < bound)
        ]

    def is_learnable(self, probes: Sequence[Architecture], goal: float, rungs: Sequence[int]) -> bool:
        """Whether the best probe beats the most frequent class; if not at first, the largest get a longer chance."""
        if self.beats_majority(probes, goal):
            return True
        self.train(probes[-2:], rungs[min(1, len(rungs) - 1)])
        self.learnable = self.beats_majority(probes[-2:], goal)
        return self.learnable

    def beats_majority(self, networks: Sequence[Architecture], goal: float) -> bool:
        """Whether the best of the networks' seeds by training accuracy is better on validation images than chance."""
        screened = self.screened()
        rows = [row for network in networks for row in screened.get(network, ())]
        if not rows or self.work.late:
            return True  # nothing is known
        best = max(rows, key=lambda row: row.train_accuracy)
        labels = self.work.validation[1]
        right = round(best.validation_accuracy * len(labels))
        return best.train_accuracy >= goal or proportion_p_value(right, len(labels), majority(labels)) < LEARNABLE_ALPHA
