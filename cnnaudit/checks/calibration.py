"""Measure what a check's statistic is without its defect, and how often the check then cries or stays silent."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnaudit.checks import catalogue
from cnnaudit.checks.plants import Builder
from cnnaudit.core.errors import AuditError
from cnnaudit.core.files import write_whole
from cnnaudit.core.findings import Finding
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import gate_confidence, proportion_interval
from cnnaudit.planted import plants_for, populations

SCHEMA = "cnnaudit.null/1"
TYPICAL_GATES = 16
PLANT_SEEDS = 20


@dataclass(frozen=True)
class _Source:
    """Targets to measure on: a clean population, or planted defects."""

    name: str
    kind: str
    build: Builder
    seeds: int
    part: str


def calibrate(check: str, *, seeds: int | None = None, workers: int = 2, profile: str = "quick") -> dict[str, Any]:
    """The null distribution of a check's statistic, its false alarms and its power, as stored in `baselines/null/`.

    Each clean population, each twin and each planted defect is built from `seeds` seeds and asked once, at the
    confidence that a gate has in a run of 16 gates (a trait: .95).

    Args:
        seeds: replaces each population's own number of seeds.
        workers: processes of one thread each.

    Returns:
        `check`, `statistic`, `direction`, `tolerance`, `false_alarms` and `power` with exact 95 % intervals,
        and `populations`: per population its `name`, `kind` (clean or defect), `statistics` and `verdicts`.

    Raises:
        AuditError: the check is unknown, or has neither a planted defect nor a population.
    """
    if check not in catalogue():
        raise AuditError(f"no check is called {check!r}; `python -m cnnaudit checks` lists them")
    sources = list(_sources(check))
    if not sources:
        raise AuditError(f"{check} has no planted defect and no population to be measured on")
    measured = [
        {"name": name, "kind": source.kind, **_summarize([f for f in found if f.part == part])}
        for source in sources
        for found in [_measure(source, check, seeds or source.seeds, workers, profile)]
        for part in sorted({f.part for f in found})
        if not source.part or part == source.part
        for name in [f"{source.name} [{part}]" if part else source.name]
    ]
    asked = catalogue()[check]
    tolerance = asked.tolerance if isinstance(asked.tolerance, (int, float)) else asked.tolerance[profile]
    return {
        "schema": SCHEMA,
        "check": check,
        "statistic": asked.statistic,
        "unit": asked.unit,
        "direction": asked.direction,
        "tolerance": tolerance,
        "exact": asked.exact,
        "rule": rule(measured, asked.direction, tolerance),
        "profile": profile,
        "false_alarms": _rate(measured, "clean", "fail"),
        "passes_when_clean": _rate(measured, "clean", "pass"),
        "power": _rate(measured, "defect", "fail"),
        "populations": measured,
        "command": f"python -m cnnaudit calibrate {check}",
        "versions": _versions(),
    }


def rule(measured: Sequence[dict[str, Any]], direction: str, tolerance: float) -> str:
    """The tolerance beside what clean targets show, in one sentence."""
    clean = [value for population in measured if population["kind"] == "clean" for value in population["statistics"]]
    if not clean:
        return ""
    bound, share = ("at most", 0.99) if direction == "at_most" else ("at least", 0.01)
    return (
        f"99 % of {len(clean)} clean targets measure {bound} {np.quantile(clean, share):.3g}, half of them {bound} "
        f"{np.median(clean):.3g}; tolerated is {bound} {tolerance:g}."
    )


def write(result: dict[str, Any], folder: Path) -> Path:
    """Store a result as `<folder>/<check>.json`, whole or not at all."""
    path = folder / f"{result['check']}.json"
    write_whole({path: json.dumps(result, indent=1, sort_keys=True) + "\n"})
    return path


def _sources(check: str) -> Iterator[_Source]:
    """Populations, twins and defects of one check."""
    for population in populations():
        if population.check == check:
            yield _Source(population.name, "clean", population.build, population.seeds, population.part)
    for plant in plants_for(check):
        yield _Source(f"twin of: {plant.name}", "clean", plant.twin, PLANT_SEEDS, plant.part)
        yield _Source(plant.name, "defect", plant.defect, PLANT_SEEDS, plant.part)


def _measure(source: _Source, check: str, seeds: int, workers: int, profile: str) -> list[Finding]:
    """The check's findings over the seeds of one source."""
    from joblib import Parallel, delayed

    tasks = (delayed(_ask)(source.build, check, seed, profile) for seed in range(seeds))
    answers = Parallel(n_jobs=workers, return_as="generator")(tasks)
    return [finding for found in progress(answers, f"{check}: {source.name}", seeds) for finding in found]


def _ask(build: Builder, check: str, seed: int, profile: str) -> Sequence[Finding]:
    """One asking, in a process of one thread."""
    import torch

    torch.set_num_threads(1)
    asked = catalogue()[check]
    target = build(seed)
    confidence = gate_confidence(TYPICAL_GATES if asked.is_gate(target) else 1)
    found = asked(target, seed=seed, confidence=confidence, profile=profile)
    return [found] if isinstance(found, Finding) else found


def _summarize(findings: Sequence[Finding]) -> dict[str, Any]:
    """Statistics and verdict counts over the seeds; questions that did not apply are only counted."""
    values = [float(f"{f.statistic:.5g}") for f in findings if f.statistic is not None]
    summary: dict[str, Any] = {"statistics": values, "verdicts": dict(Counter(f.verdict for f in findings))}
    if values:
        points = np.quantile(values, [0.01, 0.5, 0.99])
        summary["quantiles"] = {q: float(f"{v:.5g}") for q, v in zip(("1 %", "50 %", "99 %"), points)}
    return summary


def _rate(measured: Sequence[dict[str, Any]], kind: str, verdict: str) -> dict[str, Any] | None:
    """The share of asked targets of that kind with that verdict; None where none was asked."""
    counts = Counter[str]()
    for population in measured:
        if population["kind"] == kind:
            counts.update(population["verdicts"])
    n = sum(count for name, count in counts.items() if name != "not_applicable")
    if not n:
        return None
    low, high = proportion_interval(counts[verdict], n)
    return {"count": counts[verdict], "n": n, "interval": [float(f"{low:.4g}"), float(f"{high:.4g}")]}


def _versions() -> dict[str, str]:
    """What the numbers were measured with."""
    import scipy
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
