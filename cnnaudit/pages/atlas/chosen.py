"""Which units of a layer an atlas shows: those asked for, or as many as somebody waits for at the measured speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnaudit.core.errors import AuditError
from cnnaudit.pages.atlas._optima import Settings, optima
from cnnaudit.report.words import plural

if TYPE_CHECKING:
    from torch import nn

    from cnnaudit.pages.atlas._exemplars import Exemplars
    from cnnaudit.pages.atlas.layers import Plan
    from cnnaudit.pages.atlas.store import Store
    from cnnaudit.target import AuditTarget

PATIENCE = 600.0  # seconds for all layers together, where no number of units is asked for
TRIAL = 4  # steps that are timed
FEWEST = 8  # units of a layer that are shown however slow they are


def units(
    target: AuditTarget,
    plan: Plan,
    layer: str,
    natural: Exemplars,
    store: Store,
    batch_size: int,
    say: Callable[[str], object] | None,
) -> tuple[int, ...]:
    """The units of a layer, ascending.

    What the speed allowed once is kept in the store, so that the same command asks for the same units again.

    Args:
        say: is told how many units are left to be optimized, and how long that takes.
    """
    import joblib

    total = len(natural)
    asked = store.count() if plan.units is None else plan.units
    known = store.optima("maximum")
    finished = set() if known is None else set(known.units.tolist())
    if asked is not None:
        wanted = numbers(asked, layer, total)
        if say is None or finished.issuperset(wanted):
            return wanted
    cores = joblib.cpu_count() if plan.jobs == -1 else plan.jobs
    each = seconds_per_image(target.model, layer, range(min(total, batch_size)), plan.settings)
    each *= (2 if natural.falls else 1) / cores
    if asked is None:
        asked = affordable(total, each, PATIENCE / len(plan.layers))
        store.keep_count(asked)
    wanted = numbers(asked, layer, total)
    if say is not None:
        left = duration(len(set(wanted) - finished) * each)
        whole = f" (--units all: {duration(total * each)})" if len(wanted) < total else ""
        say(f"{layer}: {len(wanted)} of {plural(total, 'unit')}, {left}{whole}")
    return wanted


def numbers(asked: Literal["all"] | int | tuple[int, ...], layer: str, total: int) -> tuple[int, ...]:
    """The units, ascending: all, so many in equal steps through the layer, or those that are named.

    Raises:
        AuditError: the layer has no such unit.

    Example:
        >>> numbers(3, "conv1", 9)
        (0, 4, 8)
    """
    if asked == "all":
        return tuple(range(total))
    if isinstance(asked, int):
        steps = np.linspace(0, total - 1, min(asked, total)).round().astype(int)
        return tuple(int(unit) for unit in np.unique(steps))
    wrong = [unit for unit in asked if not 0 <= unit < total]
    if wrong:
        raise AuditError(f"--units: layer {layer!r} has the units 0..{total - 1}, got {wrong[0]}")
    return tuple(sorted(set(asked)))


def seconds_per_image(model: nn.Module, layer: str, units: Sequence[int], settings: Settings) -> float:
    """How long the optimized image of one unit takes, measured on a few steps of a batch of units.

    Units that stop early take less, units that start again take more.
    """
    from cnnaudit.optimization import RECIPES

    steps = RECIPES[settings.recipe].steps if settings.steps is None else settings.steps
    if not steps:
        return 0.0
    timed = min(TRIAL, steps)
    optima(model, layer, units, "maximum", replace(settings, steps=1))  # the first pass allocates and compiles
    start = time.perf_counter()
    optima(model, layer, units, "maximum", replace(settings, steps=timed))
    return (time.perf_counter() - start) / len(units) * steps / timed


def affordable(total: int, seconds_per_unit: float, budget: float) -> int:
    """How many of a layer's units fit into a time: all, else a multiple of eight, and eight at least.

    Example:
        >>> affordable(512, 2.0, 100.0), affordable(512, 0.1, 100.0), affordable(512, 60.0, 100.0)
        (48, 512, 8)
    """
    if total * seconds_per_unit <= budget:
        return total
    return min(total, max(FEWEST, int(budget / seconds_per_unit) // FEWEST * FEWEST))


def duration(seconds: float) -> str:
    """A time in words, rounded.

    Example:
        >>> duration(20), duration(400), duration(9000)
        ('less than a minute', 'about 7 minutes', 'about 2.5 hours')
    """
    if seconds < 60:
        return "less than a minute"
    if seconds < 90 * 60:
        minutes = round(seconds / 60)
        return f"about {minutes} minute{'s' * (minutes != 1)}"
    return f"about {seconds / 3600:.1f} hours"
