"""Stored benchmark results, and the gate that compares a new run with them.

The tolerance of each benchmark is learned: the same code is run several times (A/A), and a later run is called
slower only where it leaves the prediction interval of those runs, all benchmarks of a run sharing alpha = .05.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnnaudit.benchmarking.machine import slug
from cnnaudit.core.errors import AuditError
from cnnaudit.core.files import write_whole
from cnnaudit.core.statistics import gate_confidence

SCHEMA = "cnnaudit.benchmark/1"

Outcome = Literal["same", "slower", "faster", "new", "gone"]


@dataclass(frozen=True)
class Baseline:
    """Results of several runs of the same code on one machine.

    Attributes:
        machine: as `machine.identity` gives it.
        benchmarks: by name: `ratios` (one median ratio per A/A run), `reference`, and the last run's `cost`.
    """

    machine: Mapping[str, Any]
    benchmarks: Mapping[str, Mapping[str, Any]]

    def write(self, folder: Path) -> Path:
        """Store as `<folder>/<machine>.json`, validated, whole or not at all."""
        content = {"schema": SCHEMA, "machine": dict(self.machine), "benchmarks": dict(self.benchmarks)}
        validate(content, "the new baseline")
        path = folder / f"{slug(dict(self.machine))}.json"
        write_whole({path: json.dumps(content, indent=1, sort_keys=True) + "\n"})
        return path

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read a stored baseline.

        Raises:
            AuditError: the file is no JSON or does not fit the schema.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise AuditError(f"{path} is not JSON: {error}") from None
        validate(content, str(path))
        return cls(content["machine"], content["benchmarks"])


@dataclass(frozen=True)
class Verdict:
    """What became of one benchmark: `change` is new ratio / baseline ratio, `limit` the factor that is still noise."""

    name: str
    outcome: Outcome
    change: float | None = None
    limit: float | None = None


def validate(content: Any, where: str) -> None:
    """Hold stored results against `schema.json`.

    Raises:
        AuditError: names the place in the file that does not fit.
    """
    import jsonschema

    schema = json.loads((resources.files("cnnaudit.baselines") / "benchmarks" / "schema.json").read_text())
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(content), key=lambda e: list(e.path))
    if errors:
        place = "/".join(map(str, errors[0].path)) or "the top level"
        raise AuditError(f"{where} does not fit the benchmark schema at {place}: {errors[0].message}")


def learn(runs: Sequence[Mapping[str, Mapping[str, Any]]], machine: Mapping[str, Any]) -> Baseline:
    """A baseline from several runs of the same code: each run maps a benchmark's name to `reference` and `cost`.

    Raises:
        AuditError: fewer than 3 runs, or the runs hold different benchmarks.
    """
    if len(runs) < 3:
        raise AuditError(f"a tolerance is learned from at least 3 runs of the same code, got {len(runs)}")
    if len({frozenset(run) for run in runs}) != 1:
        raise AuditError("the runs hold different benchmarks; run them with the same selection")
    return Baseline(
        machine,
        {
            name: {
                "reference": runs[-1][name]["reference"],
                "ratios": [run[name]["cost"]["ratio"] for run in runs],
                "cost": runs[-1][name]["cost"],
            }
            for name in sorted(runs[-1])
        },
    )


def noise_limit(ratios: Sequence[float], level: float) -> float:
    """The factor within which one more run of the same code lies: exp(t(k - 1) * s * sqrt(1 + 1 / k)) on log ratios."""
    from scipy.stats import t

    logs = np.log(np.asarray(ratios, dtype=float))
    k = len(logs)
    return float(np.exp(t.ppf((1 + level) / 2, k - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / k)))


def gate(run: Mapping[str, Mapping[str, Any]], baseline: Baseline) -> list[Verdict]:
    """Each benchmark of a run beside the baseline, slower ones first."""
    level = gate_confidence(len(baseline.benchmarks))
    verdicts = [Verdict(name, "gone") for name in baseline.benchmarks if name not in run]
    for name, result in run.items():
        if name not in baseline.benchmarks:
            verdicts.append(Verdict(name, "new"))
            continue
        ratios = baseline.benchmarks[name]["ratios"]
        change = result["cost"]["ratio"] / float(np.exp(np.log(ratios).mean()))
        limit = noise_limit(ratios, level)
        outcome: Outcome = "slower" if change > limit else "faster" if change < 1 / limit else "same"
        verdicts.append(Verdict(name, outcome, change, limit))
    order = ("slower", "faster", "gone", "new", "same")
    return sorted(verdicts, key=lambda v: (order.index(v.outcome), v.name))
