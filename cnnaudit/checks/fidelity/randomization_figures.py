"""What the findings of `fidelity.randomization` show: each method beside the baselines, and maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnaudit.checks.fidelity._baseline_tables import Tables, beside, short
from cnnaudit.checks.fidelity.randomization import Randomization
from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence


def randomization_tables(measured: Mapping[str, Randomization]) -> Tables:
    """Makes the table of one method beside the baselines; of all methods where asked."""
    columns = [
        *("method", "images", "survives", "random weights", "upper half random"),
        *("other images", "itself under noise", "rise of complexity"),
    ]
    rows = {}
    for name, found in measured.items():
        means = [found.random.mean(), found.stages.get(0.5), found.other.mean(), found.itself.mean()]
        kept = found.survives() if found.judgeable else None
        rows[name] = [len(found.random), *(short(value) for value in (kept, *means, found.complexity.mean()))]
    return beside("Rank correlation of a map with the same image's map under …", columns, rows)


def randomization_pictures(found: Randomization, grid: tuple[int, int]) -> Evidence:
    """The first image's map beside that of a random network, both on the grid and each on its own scale."""
    planes = found.example.reshape(2, 1, *grid)
    scaled = planes / np.maximum(planes.max((1, 2, 3), keepdims=True), 1e-30)
    return evidence.images("The map of one image", scaled, ["in this model", "in a random network"])
