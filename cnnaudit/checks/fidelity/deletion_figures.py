"""What the findings of `fidelity.deletion` show: each method beside the baselines, and curves."""

from __future__ import annotations

from collections.abc import Mapping

from cnnaudit.checks.fidelity._baseline_tables import Tables, beside, short
from cnnaudit.checks.fidelity.deletion import FRACTIONS, Deletion
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence


def deletion_tables(measured: Mapping[str, Deletion], intervals: Mapping[str, tuple[float, float] | None]) -> Tables:
    """Makes the table of one method beside the baselines; of all methods where asked."""
    columns = ["method", "images", "beyond elsewhere", "low", "high"]
    rows = {
        name: [len(found.before), short(found.gain()), *(short(end) for end in intervals[name] or (None, None))]
        for name, found in measured.items()
    }
    return beside("Probability taken away beyond the same map elsewhere, as a share of what can be", columns, rows)


def deletion_curves(found: Deletion, edges: Deletion | None) -> Evidence:
    """Mean probability of the predicted class as the most attributed cells go; on this method's images."""
    n = len(found.before)
    lines = {"by the map": found.method, "by the map elsewhere": found.random}
    if edges is not None:
        lines["by edges"] = edges.method[:n]
    shown = {
        name: [float(f"{value:.3g}") for value in (found.before.mean(), *curve.mean(0))]
        for name, curve in lines.items()
        if len(curve) == n
    }
    return evidence.curve(
        "Probability of the predicted class as cells are replaced",
        [0.0, *FRACTIONS],
        shown,
        x_label="share of the cells replaced",
        y_label="probability",
    )
