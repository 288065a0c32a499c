"""Measured null distributions: what a check says of clean and of planted targets, stored to be judged again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnaudit.checks._catalogue import known_checks
from cnnaudit.checks.context import verdict
from cnnaudit.core.statistics import proportion_interval

SCHEMA = "cnnaudit.null/2"
Row = Mapping[str, Any]


def null_distribution(check: str) -> Mapping[str, Any] | None:
    """What was measured for a check's tolerance (the content of its `null_file`), or None.

    A null belongs to what was measured: for an id with a part, such as `fidelity.deletion[gradient]`, only the
    populations of that part and the rates over them, or None where that part was not calibrated. Where the check's
    plants and populations name no part (those of `topology.ring` are layers), one null holds for all of them.

    `["populations"]` lists, for each clean or defective population, its `statistics` over seeds. Format 2 also keeps
    the `targets`: seed, statistic and interval of each, from which `rejudge` gives the verdicts at any tolerance.
    Format 1 is still read.
    """
    id, _, part = check.removesuffix("]").partition("[")
    known = known_checks().get(id)
    if known is None or not known.null_file.is_file():
        return None
    content: dict[str, Any] = json.loads(known.null_file.read_text(encoding="utf-8"))
    direction, tolerance = content["direction"], content["tolerance"]
    if content.get("schema") == SCHEMA:
        content |= summarize(content["populations"], direction, tolerance)
    own = [p for p in content["populations"] if _part(p) == part] if part and known.parts else content["populations"]
    if not own:
        return None
    return {**content, **_judgement(own, direction, tolerance)} if part and known.parts else content


def summarize(populations: Sequence[Row], direction: str, tolerance: float) -> dict[str, Any]:
    """The populations with statistics, quantiles and verdicts at a tolerance; false alarms and power over all."""
    judged = []
    for population in populations:
        targets = population["targets"]
        values = [row["statistic"] for row in targets if row["statistic"] is not None]
        summary = {"statistics": values, "verdicts": dict(Counter(rejudge(targets, direction, tolerance)))}
        if values:
            points = np.quantile(values, [0.01, 0.5, 0.99])
            summary["quantiles"] = {q: float(f"{v:.5g}") for q, v in zip(("1 %", "50 %", "99 %"), points)}
        judged.append({**population, **summary})
    return _judgement(judged, direction, tolerance)


def _judgement(populations: Sequence[Row], direction: str, tolerance: float) -> dict[str, Any]:
    """The populations, the tolerance beside them, and how often clean ones fail and defects are found."""
    return {
        "populations": populations,
        "rule": rule(populations, direction, tolerance),
        "false_alarms": _rate(populations, "clean", "fail"),
        "passes_when_clean": _rate(populations, "clean", "pass"),
        "power": _rate(populations, "defect", "fail"),
    }


def _part(population: Row) -> str:
    """The part that was measured; format 1 says it at the end of the name only."""
    return str(population.get("part", population["name"].partition("[")[2].removesuffix("]")))


def rejudge(targets: Iterable[Row], direction: str, tolerance: float) -> list[str]:
    """The verdict on each stored target at a tolerance, without running the check again.

    Example:
        >>> rejudge([{"seed": 0, "statistic": 0.1, "interval": [0.0, 0.2]}], "at_most", 0.3)
        ['pass']
    """
    return [_verdict(row, direction, tolerance) if row["interval"] else "not_applicable" for row in targets]


def _verdict(row: Row, direction: str, tolerance: float) -> str:
    """The verdict on one target; one that was judged in its own way keeps its direction and tolerance."""
    low, high = row["interval"]
    own = row.get("own")
    return (
        verdict((low, high), own["tolerance"], own["direction"]) if own else verdict((low, high), tolerance, direction)
    )


def rule(populations: Sequence[Row], direction: str, tolerance: float) -> str:
    """The tolerance beside what clean targets show, in one sentence."""
    clean = [value for p in populations if p["kind"] == "clean" for value in p["statistics"]]
    if not clean:
        return ""
    bound, share = ("at most", 0.99) if direction == "at_most" else ("at least", 0.01)
    return (
        f"99 % of {len(clean)} clean targets measure {bound} {np.quantile(clean, share):.3g}, half of them {bound} "
        f"{np.median(clean):.3g}; tolerated is {bound} {tolerance:g}."
    )


def _rate(populations: Sequence[Row], kind: str, asked: str) -> dict[str, Any] | None:
    """The share of asked targets of that kind with that verdict; None where none was asked."""
    counts = Counter[str]()
    for population in populations:
        if population["kind"] == kind:
            counts.update(population["verdicts"])
    n = sum(count for name, count in counts.items() if name != "not_applicable")
    if not n:
        return None
    low, high = proportion_interval(counts[asked], n)
    return {"count": counts[asked], "n": n, "interval": [float(f"{low:.4g}"), float(f"{high:.4g}")]}
