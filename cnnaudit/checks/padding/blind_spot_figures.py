"""The figures of `padding.blind_spot`: where content is recognized, and what other padding recognizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence

if TYPE_CHECKING:
    from cnnaudit.checks.padding._blind_spot_search import BlindSpot
    from cnnaudit.checks.padding._moved_content import Grid, Size, Stimulus

PICTURES = 6


def figures(
    spot: BlindSpot, stimuli: Sequence[Stimulus], grid: Grid, size: Size, classes: Sequence[str]
) -> list[Evidence]:
    """The map of the search, the comparison on fresh stimuli, and stimuli that only the control recognizes."""
    side = len(grid.rows)
    repaired = np.flatnonzero(spot.repaired)[:PICTURES]
    shown = [grid.image(stimuli[i], spot.position, size).numpy() for i in repaired]
    captions = [f"{classes[spot.truth[i]]}, read as {classes[spot.here[i]]}" for i in repaired]
    here, other, control = spot.accuracies()
    rows = [
        ["own padding", f"{grid.words(spot.position)} (worst)", round(here, 4)],
        ["own padding", spot.elsewhere, round(other, 4)],
        [spot.control.padding, f"{grid.words(spot.control_position)} (worst)", round(control, 4)],
    ]
    return [
        evidence.heat_map(
            f"Where content is recognized ({len(spot.searched)} images)",
            spot.searched.mean(0).reshape(side, side),
            label="mean probability of the true class",
            rows="moved down" if grid.moves else "top to bottom",
            columns="moved right" if grid.moves else "left to right",
        ),
        evidence.table(f"Contents recognized ({len(spot.truth)} images)", ["padding", "position", "accuracy"], rows),
        *(
            [evidence.images("Missed at the worst position, recognized with other padding", np.array(shown), captions)]
            if shown
            else []
        ),
    ]
