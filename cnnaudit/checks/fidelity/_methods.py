"""The attribution methods that the checks of `fidelity` judge, on the same images and with the same maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cnnaudit.checks import CheckContext
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import bootstrap_interval, generator

if TYPE_CHECKING:
    from cnnaudit.checks.fidelity._budget import Effort, Reasons
    from cnnaudit.checks.fidelity._evaluation_set import Subject

LEAST = 8  # images that a judgement needs

Measured = TypeVar("Measured")


def subject_and_maps(context: CheckContext) -> tuple[Subject, dict[str, np.ndarray], Reasons]:
    """The images, each method's maps of them and why others have none; computed once for the checks of a run."""
    from cnnaudit.attribution.methods import METHODS
    from cnnaudit.checks.fidelity._budget import affordable

    def make() -> tuple[dict[str, np.ndarray], Reasons]:
        spec = context.target.input
        counts, reasons = affordable(METHODS, effort(context), spec.channels, spec.size)
        found = subject(context)
        maps, refused = each(counts, "maps", lambda name: found.strength(METHODS[name], slice(counts[name])))
        return maps, {**reasons, **refused}

    maps, refused = context.remember("fidelity maps", make)
    return subject(context), maps, dict(refused)


def subject(context: CheckContext) -> Subject:
    """The images that are looked at, the same for all checks of a run.

    Raises:
        UnsupportedError: there are fewer than two.
    """
    from cnnaudit.checks.fidelity._evaluation_set import subject_of

    def make() -> Subject:
        images = context.sample("validation")[0]
        rng = generator(context.seed, context.target.name, "fidelity", "images")
        logits = context.predictions("validation")
        return subject_of(context.target, images, logits, effort(context).images, rng, context.seed)

    found = context.remember("fidelity images", make)
    if len(found.images) < 2:
        raise UnsupportedError("needs at least 2 validation images")
    return found


def effort(context: CheckContext) -> Effort:
    """What the run's profile spends on images of the target's size."""
    from cnnaudit.checks.fidelity._budget import effort_of

    return effort_of(context.target.input.size, context.profile.images)


def judged(measured: Iterable[str]) -> list[str]:
    """The methods among the measured that are no baselines."""
    from cnnaudit.attribution.methods import METHODS

    return [name for name in measured if not METHODS[name].baseline]


def title(name: str) -> str:
    """The method's name for people."""
    from cnnaudit.attribution.methods import METHODS

    return METHODS[name].title


def refusals(context: CheckContext, reasons: Mapping[str, str]) -> list[Finding]:
    """The findings of methods that do not apply or were not asked."""
    return [context.not_applicable(reasons[name], part=name) for name in judged(reasons)]


def interval(
    context: CheckContext,
    n: int,
    statistic: Callable[[np.ndarray], float],
    bounds: tuple[float, float],
    label: str = "",
) -> tuple[float, float]:
    """The bootstrap over n images of a statistic of their positions."""
    return bootstrap_interval(
        np.arange(n),
        statistic,
        rng=context.generator("bootstrap", label),
        confidence=context.confidence,
        resamples=context.resamples,
        bounds=bounds,
    )


def each(
    names: Iterable[str], what: str, measure: Callable[[str], Measured]
) -> tuple[dict[str, Measured], dict[str, str]]:
    """The measure of each method, and the reasons of those that refuse."""
    found: dict[str, Measured] = {}
    reasons: dict[str, str] = {}
    names = list(names)
    for name in progress(names, what, len(names)):
        try:
            found[name] = measure(name)
        except UnsupportedError as reason:
            reasons[name] = str(reason)
    return found, reasons
