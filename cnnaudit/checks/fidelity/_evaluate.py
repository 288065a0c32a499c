"""All methods measured on one subject: how they take random weights, and how deleting by them hurts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import numpy as np
import torch

from cnnaudit.attribution.methods import METHODS
from cnnaudit.checks.fidelity._deletion import Deletion, deletion_curve, elsewhere
from cnnaudit.checks.fidelity._effort import Reasons
from cnnaudit.checks.fidelity._evaluation_set import Subject
from cnnaudit.checks.fidelity._randomization import NOISE, Randomization, compare, randomized, weighted_layers
from cnnaudit.checks.fidelity._saliency import cells
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.progress import progress

STAGED = 4  # images whose maps in half-random networks are shown
MEASURED = 8  # images that a random network's batch statistics are measured on

Measured = TypeVar("Measured")


def own_maps(subject: Subject, counts: Mapping[str, int]) -> tuple[dict[str, torch.Tensor], Reasons]:
    """Each method's maps (n, H, W) of the first n images, and why others have none."""
    return _each(counts, "maps", lambda name: subject.maps(METHODS[name], slice(counts[name])).cpu())


def randomizations(
    subject: Subject, maps: Mapping[str, torch.Tensor], networks: int, generator: torch.Generator
) -> tuple[dict[str, Randomization], Reasons]:
    """Each method's maps beside those in random networks, one network for each of the first images.

    Args:
        maps: the own maps of each method.
    """
    model, n = subject.target.model, min(networks, len(subject.images))
    noise = (NOISE * torch.randn(subject.images.shape, generator=generator)).to(subject.images)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in maps}
    halves: dict[str, list[np.ndarray]] = {name: [] for name in maps}
    reasons: Reasons = {}
    names = weighted_layers(model)
    for index in progress(range(n), "random networks", n):
        one = slice(index, index + 1)
        nets = [(rows, randomized(model, subject.images[:MEASURED], generator))]
        if index < STAGED:
            nets.append((halves, randomized(model, subject.images[:MEASURED], generator, names[len(names) // 2 :])))
        for name in [name for name, own in maps.items() if len(own) > index and name not in reasons]:
            try:
                for into, net in nets:
                    into[name].append(subject.rows(METHODS[name], one, model=net))
            except UnsupportedError as reason:
                reasons[name] = str(reason)

    def compared(name: str) -> Randomization:
        count = len(rows[name])
        noisy = cells(subject.maps(METHODS[name], slice(count), noise=noise))
        staged = {0.5: np.concatenate(halves[name])}
        return compare(cells(maps[name][:count]), noisy, np.concatenate(rows[name]), staged)

    found, refused = _each((name for name in maps if name not in reasons), "maps under noise", compared)
    return found, {**reasons, **refused}


def deletions(subject: Subject, maps: Mapping[str, torch.Tensor], seed: int) -> dict[str, Deletion]:
    """What deleting by each method's maps does to those of its images whose class owes itself to detail."""
    detailed = np.nonzero(subject.detailed)[0]
    found = {}
    for name in progress(maps, "deletion", len(maps)):
        rng = np.random.default_rng(seed)  # the same places for all methods
        rows = detailed[: int(np.searchsorted(detailed, len(maps[name])))]
        chosen = torch.from_numpy(rows)
        planes, images = cells(maps[name][chosen]), subject.images[chosen]
        moved = elsewhere(planes, subject.grid, rng)
        curves = [deletion_curve(subject.probability(rows), images, p, subject.grid, rng) for p in (planes, moved)]
        found[name] = Deletion(subject.before[rows], subject.emptied[rows], *curves)
    return found


def _each(names: Iterable[str], what: str, measure: Callable[[str], Measured]) -> tuple[dict[str, Measured], Reasons]:
    """The measure of each method, and the reasons of those that refuse."""
    found: dict[str, Measured] = {}
    reasons: Reasons = {}
    names = list(names)
    for name in progress(names, what, len(names)):
        try:
            found[name] = measure(name)
        except UnsupportedError as reason:
            reasons[name] = str(reason)
    return found, reasons
