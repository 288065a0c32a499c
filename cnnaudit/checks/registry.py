"""What a check is, and the catalogue of all of them."""

from __future__ import annotations

import fnmatch
import functools
import importlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnnaudit.core.errors import ConfigError, UnsupportedError
from cnnaudit.core.findings import Direction, Finding, Location, Verdict
from cnnaudit.core.profiles import PROFILES, Profile, profile_named
from cnnaudit.core.statistics import derive_seed, generator, needed_images, proportion_interval, proportion_p_value
from cnnaudit.core.wording import nearest

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget

FAMILIES = (
    "dataset",
    "minimum_model",
    "padding",
    "behavior",
    "units",
    "sign_agreement",
    "kernels",
    "color",
    "dead",
    "untrained",
    "topology",
    "fidelity",
    "neuron_optimum",
    "separability",
)
Need = Literal["train", "validation", "metadata", "inside"]
Body = Callable[["AuditTarget", "Trial"], "Finding | list[Finding]"]


@dataclass(frozen=True)
class Check:
    """One question: its id, its judgement and the function that measures it. Calling it asks the question.

    Attributes:
        gate: whether a failure fails the run, or a function of the target that says so.
        tolerance: the bound, one for all or one per profile; measured on a null distribution (see `baselines`).
        needs: what a target must have for the question to make sense; without it, `not_applicable`.
        exact: an arithmetic property without sampling error; it stands outside the correction.
    """

    id: str
    question: str
    statistic: str
    unit: str
    direction: Direction
    tolerance: float | Mapping[str, float]
    gate: bool | Callable[[AuditTarget], bool]
    remedy: str
    reference: str
    body: Body
    needs: tuple[Need, ...] = ()
    exact: bool = False

    def __call__(
        self,
        target: AuditTarget,
        *,
        tolerance: float | None = None,
        seed: int = 0,
        confidence: float = 0.95,
        profile: str | Profile = "quick",
        gate: bool | None = None,
    ) -> Finding | list[Finding]:
        """Ask the question of a target.

        Args:
            tolerance: replaces the default bound.
            seed: the run's seed; every draw derives from (seed, target, check id).
            confidence: of the intervals that the verdict rests on; a run gives 1 - .05 / gates.
            profile: `quick`, `standard` or `deep`.
            gate: replaces the default.

        Returns:
            One finding, or a list where the check answers per part (claim, layer, method).
        """
        effort = profile_named(profile)
        default = self.tolerance if isinstance(self.tolerance, (int, float)) else self.tolerance[effort.name]
        trial = Trial(
            check=self,
            target=target,
            tolerance=default if tolerance is None else tolerance,
            seed=seed,
            profile=effort,
            confidence=confidence,
            gate=self.is_gate(target) if gate is None else gate,
        )
        start = time.perf_counter()
        missing = self.missing(target)
        try:
            found = trial.not_applicable(missing) if missing else self.body(target, trial)
        except UnsupportedError as reason:
            found = trial.not_applicable(str(reason))
        seconds = time.perf_counter() - start
        if isinstance(found, Finding):
            return replace(found, seconds=seconds)
        return [replace(finding, seconds=seconds / len(found)) for finding in found]

    def is_gate(self, target: AuditTarget) -> bool:
        """Whether a failure on this target fails the run, before the target's file has its say."""
        return self.gate(target) if callable(self.gate) else self.gate

    def missing(self, target: AuditTarget) -> str:
        """Why the question cannot be asked of this target; empty where it can."""
        for need in self.needs:
            if need in ("train", "validation") and need not in target.splits:
                return f"the target has no {need} images: set data.{need} in its file"
            if need == "metadata" and not any(split.metadata for split in target.splits.values()):
                return "the target has no metadata: set data.metadata in its file"
            if need == "inside" and not target.inside:
                return target.inside_reason or "the model's inside cannot be observed"
        return ""


@dataclass(frozen=True)
class Trial:
    """One asking of one check: its settings, its generators, its samples and its judgement."""

    check: Check
    target: AuditTarget
    tolerance: float
    seed: int
    profile: Profile
    confidence: float
    gate: bool

    @property
    def resamples(self) -> int:
        """Resamples of a test: the profile's, or more where the confidence needs a finer p-value."""
        return max(self.profile.resamples, int(np.ceil(4 / (1 - self.confidence))))

    def generator(self, *labels: object) -> np.random.Generator:
        """A generator of this check's own, the same in any order and selection of checks."""
        return generator(self.seed, self.target.name, self.check.id, *labels)

    def torch_generator(self, *labels: object) -> torch.Generator:
        """Like `generator`, for torch, on the CPU."""
        import torch

        return torch.Generator().manual_seed(derive_seed(self.seed, self.target.name, self.check.id, *labels))

    def indices(self, split: str) -> np.ndarray:
        """Positions in the split of the images of `sample`."""
        return self.target.draw(split, self.profile.images, self.seed)

    def sample(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The profile's stratified sample, shared by all checks of a run: images (n, C, H, W), labels (n,)."""
        return self.target.sample(split, self.profile.images, self.seed)

    def predictions(self, split: str) -> torch.Tensor:
        """The logits (n, K) of `sample(split)`, computed once per run."""
        return self.target.predictions(split, self.profile.images, self.seed)

    def among(self, parts: int) -> Trial:
        """The trial for one of `parts` findings that share this check's error."""
        return replace(self, confidence=1 - (1 - self.confidence) / max(parts, 1))

    def verdict(self, interval: tuple[float, float]) -> Verdict:
        """Pass with the interval inside the tolerance, fail with it outside, inconclusive between."""
        low, high = interval
        if self.check.direction == "at_most":
            return "pass" if high <= self.tolerance else "fail" if low > self.tolerance else "inconclusive"
        return "pass" if low >= self.tolerance else "fail" if high < self.tolerance else "inconclusive"

    def judge(
        self,
        statistic: float,
        interval: tuple[float, float],
        *,
        n: int,
        summary: str,
        n_unit: str = "images",
        part: str = "",
        p_value: float | None = None,
        needed_n: int | None = None,
        remedy: str | None = None,
        locations: Sequence[Location] = (),
        evidence: Sequence[Mapping[str, Any]] = (),
    ) -> Finding:
        """The finding of a measured statistic with its interval; `summary` states the fact in one sentence."""
        verdict = self.verdict(interval)
        if verdict == "inconclusive" and needed_n is None:
            needed_n = _needed_n(statistic, interval, self.tolerance, n)
        if needed_n is not None:
            needed_n = max(needed_n, n + 1)
        low, high = interval
        half = (high - statistic) if self.check.direction == "at_most" else (low - statistic)
        return Finding(
            check=f"{self.check.id}[{part}]" if part else self.check.id,
            target=self.target.name,
            verdict=verdict,
            gate=self.gate,
            statistic=float(statistic),
            statistic_name=self.check.statistic,
            unit=self.check.unit,
            interval=(float(low), float(high)),
            confidence=None if self.check.exact else self.confidence,
            tolerance=float(self.tolerance),
            direction=self.check.direction,
            p_value=p_value,
            n=n,
            n_unit=n_unit,
            needed_n=needed_n if verdict == "inconclusive" else None,
            detectable_effect=float(self.tolerance + half) if verdict == "inconclusive" else None,
            profile=self.profile.name,
            seed=self.seed,
            summary=summary,
            remedy=self.check.remedy if remedy is None else remedy,
            reference=self.check.reference,
            locations=tuple(locations),
            evidence=tuple(evidence),
        )

    def judge_share(self, successes: int, n: int, **details: Any) -> Finding:
        """`judge` for a share of `n` images, with its exact interval, p-value and the number that would decide."""
        return self.judge(
            successes / n,
            proportion_interval(successes, n, self.confidence),
            n=n,
            p_value=proportion_p_value(successes, n, self.tolerance, self.check.direction),
            needed_n=needed_images(successes / n, self.tolerance, self.confidence),
            **details,
        )

    def not_applicable(self, reason: str, part: str = "") -> Finding:
        """The finding of a question that makes no sense here, with the reason."""
        return Finding(
            check=f"{self.check.id}[{part}]" if part else self.check.id,
            target=self.target.name,
            verdict="not_applicable",
            gate=self.gate,
            statistic_name=self.check.statistic,
            unit=self.check.unit,
            tolerance=float(self.tolerance),
            direction=self.check.direction,
            profile=self.profile.name,
            seed=self.seed,
            summary=reason,
            reference=self.check.reference,
        )


def check(
    id: str,
    *,
    question: str,
    statistic: str,
    unit: str,
    direction: Direction,
    tolerance: float | Mapping[str, float],
    gate: bool | Callable[[AuditTarget], bool],
    remedy: str,
    reference: str,
    needs: tuple[Need, ...] = (),
    exact: bool = False,
) -> Callable[[Body], Check]:
    """Decorator: make a function `(target, trial) -> Finding` the check of that id.

    Raises:
        ValueError: a tolerance per profile leaves one out.
    """
    if isinstance(tolerance, Mapping) and set(tolerance) != set(PROFILES):
        raise ValueError(f"{id}: a tolerance per profile needs {sorted(PROFILES)}, got {sorted(tolerance)}")

    def wrap(body: Body) -> Check:
        made = Check(id, question, statistic, unit, direction, tolerance, gate, remedy, reference, body, needs, exact)
        # help() and doctest read the body's docstring; a frozen dataclass takes it through its __dict__
        made.__dict__.update(__doc__=body.__doc__, __name__=body.__name__, __module__=body.__module__)
        return made

    return wrap


@functools.cache
def catalogue() -> Mapping[str, Check]:
    """All checks by id, in the order of their families and files.

    Raises:
        ValueError: two checks share an id.
    """
    found: dict[str, Check] = {}
    for family in FAMILIES:
        module = importlib.import_module(f"cnnaudit.checks.{family}")
        for item in vars(module).values():
            if isinstance(item, Check):
                if item.id in found and found[item.id] is not item:
                    raise ValueError(f"two checks are called {item.id!r}")
                found[item.id] = item
    return found


def select(patterns: Iterable[str], ids: Iterable[str]) -> list[str]:
    """The ids that match any of the shell-style patterns, in their own order.

    Raises:
        ConfigError: a pattern matches nothing; the nearest id is named.
    """
    ids = list(ids)
    chosen: set[str] = set()
    for pattern in patterns:
        matches = fnmatch.filter(ids, pattern)
        if not matches:
            raise ConfigError(f"no check matches {pattern!r}{nearest(pattern, ids)}")
        chosen.update(matches)
    return [id for id in ids if id in chosen]


def _needed_n(statistic: float, interval: tuple[float, float], tolerance: float, n: int) -> int | None:
    """How many observations would decide, by the 1 / sqrt(n) law of the interval's nearer half."""
    distance = abs(tolerance - statistic)
    half = (interval[1] - statistic) if tolerance >= statistic else (statistic - interval[0])
    if distance == 0 or half <= 0:
        return None
    return int(np.ceil(n * (half / distance) ** 2))
