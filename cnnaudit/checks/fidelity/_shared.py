"""What several checks of `fidelity` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import CheckContext
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import bootstrap_interval, generator

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.fidelity._effort import Effort
    from cnnaudit.checks.fidelity._evaluation_set import Subject


_LEAST = 8  # images that a judgement needs


def _maps(context: CheckContext) -> tuple[Subject, dict[str, torch.Tensor], dict[str, str]]:
    """The subject, each method's maps of it and why others have none; made once for the checks of a run."""
    from cnnaudit.attribution.methods import METHODS
    from cnnaudit.checks.fidelity._effort import affordable
    from cnnaudit.checks.fidelity._evaluate import own_maps

    def make() -> Any:
        spec = context.target.input
        counts, reasons = affordable(METHODS, _effort(context), spec.channels, spec.size)
        maps, refused = own_maps(_subject(context), counts)
        return maps, {**reasons, **refused}

    maps, refused = context.remember("maps", make)
    return _subject(context), maps, dict(refused)


def _subject(context: CheckContext) -> Subject:
    """The images that are looked at, the same for all checks of a run."""
    from cnnaudit.checks.fidelity._evaluation_set import subject_of

    def make() -> Subject:
        images = context.sample("validation")[0]
        rng = generator(context.seed, context.target.name, "fidelity", "images")
        logits = context.predictions("validation")
        return subject_of(context.target, images, logits, _effort(context).images, rng, context.seed)

    found: Subject = context.remember("subject", make)
    if len(found.images) < 2:
        raise UnsupportedError("needs at least 2 validation images")
    return found


def _effort(context: CheckContext) -> Effort:
    from cnnaudit.checks.fidelity._effort import effort_of

    return effort_of(context.target.input.size, context.profile.images)


def _judged(measured: Mapping[str, Any]) -> list[str]:
    """The methods among the measured that are no baselines."""
    from cnnaudit.attribution.methods import METHODS

    return [name for name in measured if not METHODS[name].baseline]


def _title(name: str) -> str:
    from cnnaudit.attribution.methods import METHODS

    return METHODS[name].title


def _refusals(context: CheckContext, reasons: Mapping[str, str]) -> list[Finding]:
    """The findings of methods that do not apply."""
    return [context.not_applicable(reasons[name], part=name) for name in _judged(reasons)]


def _interval(
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
