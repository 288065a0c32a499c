"""Measure what a check's statistic is without its defect, and how often the check then raises a false alarm."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnaudit.checks._catalogue import known_checks
from cnnaudit.checks.nulls import SCHEMA, summarize
from cnnaudit.checks.registry import Builder, Check
from cnnaudit.core.errors import AuditError
from cnnaudit.core.files import write_whole
from cnnaudit.core.findings import Finding
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import gate_confidence

TYPICAL_GATES = 16
PLANT_SEEDS = 20
KEPT = ("seed", "statistic", "interval", "own")  # of each target, in the stored file


@dataclass(frozen=True)
class _Source:
    """Targets to measure on: a clean population, or planted defects."""

    name: str
    kind: str
    build: Builder
    seeds: int
    parts: tuple[str, ...]


def calibrate(
    check: str, *, seeds: int | None = None, workers: int = 2, profile: str = "quick", resume: Path | None = None
) -> dict[str, Any]:
    """The null distribution of a check's statistic, its false alarms and its power, as stored in its `null_file`.

    Each clean population, each twin and each planted defect is built from `seeds` seeds and measured once, at the
    confidence that a gate has in a run of 16 gates (a trait: .95). Workers go through `joblib.Parallel`, so that
    `joblib.parallel_config` sends them to Dask or Ray.

    Args:
        seeds: replaces each population's own number of seeds.
        workers: processes of one thread each.
        resume: a file that keeps what is measured, line by line; what it holds already is not measured again.

    Returns:
        `check`, `statistic`, `direction`, `tolerance`, `false_alarms` and `power` with exact 95 % intervals, the CPU
        `seconds` that it took, and `populations`: per population its `name`, `kind` (clean or defect) and `targets`,
        each with `seed`, `statistic` and `interval`.

    Raises:
        AuditError: the check is unknown, or has neither a planted defect nor a population.
    """
    known = known_checks()
    if check not in known:
        raise AuditError(f"no check is called {check!r}; `cnnaudit checks` lists them")
    asked = known[check]
    sources = list(_sources(asked))
    if not sources:
        raise AuditError(f"{check} has no planted defect and no population to be measured on")
    done = _read(resume)
    populations: list[dict[str, Any]] = []
    seconds = 0.0
    for source in sources:
        rows = _measure(source, asked, seeds or source.seeds, workers, profile, done, resume)
        seconds += sum(row["seconds"] for row in rows)
        for part in sorted({row["part"] for row in rows}):
            if not source.parts or part in source.parts:
                targets = [{key: row[key] for key in KEPT if key in row} for row in rows if row["part"] == part]
                name = f"{source.name} [{part}]" if part else source.name
                populations.append({"name": name, "kind": source.kind, "part": part, "targets": targets})
    tolerance = asked.tolerance_at(profile)
    summary = summarize(populations, asked.direction, tolerance)
    return {
        "schema": SCHEMA,
        "check": check,
        "statistic": asked.statistic,
        "unit": asked.unit,
        "direction": asked.direction,
        "tolerance": tolerance,
        "exact": asked.exact,
        "profile": profile,
        "seconds": round(seconds, 1),
        **{key: summary[key] for key in ("rule", "false_alarms", "passes_when_clean", "power")},
        "populations": populations,
        "command": f"cnnaudit calibrate {check}" + (f" --seeds {seeds}" if seeds else ""),
        "versions": _versions(),
    }


def write(result: dict[str, Any], folder: Path) -> Path:
    """Store a result as `<folder>/<check>.json`, whole or not at all."""
    path = folder / f"{result['check']}.json"
    compact = {**result, "populations": []}
    text = json.dumps(compact, indent=1, sort_keys=True)
    populations = ",\n  ".join(json.dumps(population, sort_keys=True) for population in result["populations"])
    write_whole({path: text.replace('"populations": []', f'"populations": [\n  {populations}\n ]') + "\n"})
    return path


def _sources(check: Check) -> Iterator[_Source]:
    """Populations, twins and defects of one check."""
    for population in check.populations:
        yield _Source(population.name, "clean", population.build, population.seeds, population.parts)
    for plant in check.plants:
        yield _Source(f"twin of: {plant.name}", "clean", plant.twin, PLANT_SEEDS, plant.parts)
        yield _Source(plant.name, "defect", plant.defect, PLANT_SEEDS, plant.parts)


def _measure(
    source: _Source, check: Check, seeds: int, workers: int, profile: str, done: dict[str, Any], resume: Path | None
) -> list[dict[str, Any]]:
    """One row per seed and part of one source; rows that are known already are taken as they are."""
    from joblib import Parallel, delayed

    def key(seed: int) -> str:
        return f"{check.id}|{profile}|{source.kind}|{source.name}|{seed}"

    missing = [seed for seed in range(seeds) if key(seed) not in done]
    tasks = (delayed(_ask)(source.build, check.id, check.module, seed, profile) for seed in missing)
    answers = Parallel(n_jobs=workers, return_as="generator")(tasks)
    for seed, rows in zip(missing, progress(answers, f"{check.id}: {source.name}", len(missing))):
        done[key(seed)] = rows
        if resume is not None:
            with resume.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key(seed), "rows": rows}) + "\n")
    return [row for seed in range(seeds) for row in done[key(seed)]]


def _ask(build: Builder, check: str, module: str, seed: int, profile: str) -> list[dict[str, Any]]:
    """One target, measured in a process of one thread."""
    import importlib

    import torch

    torch.set_num_threads(1)
    asked = next(c for c in vars(importlib.import_module(module)).values() if isinstance(c, Check) and c.id == check)
    target = build(seed)
    start = time.process_time()
    confidence = gate_confidence(TYPICAL_GATES if asked.is_gate(target) else 1)
    found = asked(target, seed=seed, confidence=confidence, profile=profile)
    findings = [found] if isinstance(found, Finding) else found
    seconds = (time.process_time() - start) / max(len(findings), 1)
    return [_row(asked, finding, seed, seconds, profile) for finding in findings]


def _row(check: Check, finding: Finding, seed: int, seconds: float, profile: str) -> dict[str, Any]:
    def short(value: float) -> float:
        return float(f"{value:.5g}")

    row = {
        "seed": seed,
        "part": finding.part,
        "statistic": None if finding.statistic is None else short(finding.statistic),
        "interval": None if finding.interval is None else [short(bound) for bound in finding.interval],
        "seconds": round(seconds, 3),
    }
    usual = (check.direction, check.tolerance_at(profile))
    # without a claim some are judged the other way round, arithmetic at a tolerance of its own
    if finding.tolerance is not None and (finding.direction, finding.tolerance) != usual:
        row["own"] = {"direction": finding.direction, "tolerance": short(finding.tolerance)}
    return row


def _read(resume: Path | None) -> dict[str, Any]:
    """What an interrupted calibration measured; a line that was cut off is measured again."""
    done: dict[str, Any] = {}
    if resume is not None and resume.is_file():
        for line in resume.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            done[entry["key"]] = entry["rows"]
    return done


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
