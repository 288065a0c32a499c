"""A number against its tolerance on a line, and the populations that the tolerance was measured on.

Everything is placed in percent of the width, so the template draws it at any width with text of one size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit.core.findings import Finding
from cnnaudit.report.words import is_share, number, plural, verdicts

BINS = 60
MARGIN = 0.06


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis from `low` to `high`, in `unit`."""

    low: float
    high: float
    unit: str

    def at(self, value: float) -> float:
        """The position of a value in percent of the width, values beyond the ends at the ends."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ticks(self) -> list[tuple[float, str]]:
        """Two to six round values with their positions."""
        rough = (self.high - self.low) / 5
        magnitude = 10.0 ** math.floor(math.log10(rough))
        step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough)
        first = math.ceil(self.low / step)
        values = [k * step for k in range(first, math.floor(self.high / step) + 1)]
        return [(self.at(value), number(float(f"{value:.10g}"), self.unit)) for value in values]


def scale_over(values: Sequence[float], unit: str) -> Scale:
    """An axis that holds all the values with a margin; that of a share ends at 0 and 1."""
    low, high = min(values), max(values)
    margin = (high - low) * MARGIN or abs(high) * 0.5 or 1.0
    low, high = low - margin, high + margin
    if is_share(unit) and min(values) >= 0 and max(values) <= 1:
        low, high = max(low, 0.0), min(high, 1.0)
    elif min(values) >= 0:
        low = max(low, 0.0)
    return Scale(low, high, unit)


def against_tolerance(finding: Finding) -> dict[str, Any] | None:
    """Where the number, its interval and its tolerance stand on one line; None without a number or a tolerance."""
    if finding.statistic is None or finding.tolerance is None:
        return None
    low, high = finding.interval or (finding.statistic, finding.statistic)
    marks = [low, high, finding.statistic, finding.tolerance]
    near_zero = [0.0] if 0 <= min(marks) <= max(marks) - min(marks) else []
    scale = scale_over([*marks, *near_zero], finding.unit)
    return {
        "low": scale.at(low),
        "high": scale.at(high),
        "value": scale.at(finding.statistic),
        "ticks": scale.ticks(),
        **_tolerated(scale, finding.tolerance, finding.direction),
    }


def populations(measured: Mapping[str, Any] | None, finding: Finding) -> dict[str, Any] | None:
    """The clean and defective populations behind a tolerance as rows of histograms; None where none was measured.

    The axis shows the clean populations, the tolerance and this target; what a defect puts far beyond is gathered
    at the end of the axis and counted.

    Args:
        measured: as given by `cnnaudit.checks.nulls.null_distribution` for the finding's id, its part included.
    """
    rows = [row for row in (measured or {}).get("populations", ()) if row["statistics"]]
    if not rows or measured is None or finding.tolerance is None:
        return None
    clean = [value for row in rows if row["kind"] == "clean" for value in row["statistics"]]
    observed = [finding.statistic] if finding.statistic is not None else []
    core = [*clean, finding.tolerance, *observed]
    reach = max(core) - min(core) or abs(finding.tolerance) or 1.0
    defects = [value for row in rows if row["kind"] == "defect" for value in row["statistics"]]
    near = [value for value in defects if min(core) - 2 * reach <= value <= max(core) + 2 * reach]
    scale = scale_over([*core, *near, min(core), max(core)], finding.unit)
    return {
        "rows": [_row(row, scale) for row in sorted(rows, key=lambda row: row["kind"] == "defect")],
        "ticks": scale.ticks(),
        "value": scale.at(finding.statistic) if finding.statistic is not None else None,
        "false_alarms": _rate(measured.get("false_alarms")),
        "power": _rate(measured.get("power")),
        "rule": measured.get("rule", ""),
        **_tolerated(scale, finding.tolerance, finding.direction),
    }


def _tolerated(scale: Scale, tolerance: float, direction: str) -> dict[str, Any]:
    """The tolerance and the stretch of the axis on its good side."""
    place = scale.at(tolerance)
    left, right = (0.0, place) if direction == "at_most" else (place, 100.0)
    return {"tolerance": place, "good": (left, round(right - left, 2))}


def _row(row: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """One population's histogram: (left, height) of each bar in percent, what lies beyond the axis counted."""
    values = np.asarray(row["statistics"], dtype=float)
    heights, edges = np.histogram(np.clip(values, scale.low, scale.high), BINS, (scale.low, scale.high))
    beyond = int(np.sum((values < scale.low) | (values > scale.high)))
    return {
        "name": row["name"],
        "kind": row["kind"],
        "n": len(values),
        "beyond": f"{beyond} beyond this scale" if beyond else "",
        "bars": [
            (scale.at(edge), round(100 * height / heights.max(), 1)) for edge, height in zip(edges, heights) if height
        ],
        "median": number(float(np.median(values)), scale.unit),
        "verdicts": verdicts(row.get("verdicts", {})),
    }


def _rate(rate: Mapping[str, Any] | None) -> str:
    """A measured rate in words, such as `2 of 400 targets (0.5%, at most 1.8%)`."""
    if not rate:
        return ""
    low, high = rate["interval"]
    share = number(rate["count"] / rate["n"], "share")
    bounds = f"{number(low, 'share')} to {number(high, 'share')}"
    return f"{rate['count']} of {plural(rate['n'], 'target')} ({share}, 95% interval {bounds})"
