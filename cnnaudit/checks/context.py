"""What the body of a check works with: settings, generators, samples, shared results and the judgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cnnaudit.core.findings import Finding, Location, Verdict
from cnnaudit.core.profiles import Profile
from cnnaudit.core.statistics import derive_seed, generator, needed_images, proportion_interval, proportion_p_value

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.registry import Check
    from cnnaudit.checks.scan import Scan
    from cnnaudit.target import AuditTarget

T = TypeVar("T")


@dataclass(frozen=True)
class CheckContext:
    """One run of one check on one target.

    Two ways lead to the images. `sample(split)` gives the profile's stratified sample (500 images at quick), decoded at
    the model's size: take it for everything that asks the model. `scan(split)` reads a whole split once, as small
    thumbnails and fingerprints: take it for questions about the data alone. Results that several
    checks need are computed once by `remember`.
    """

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

    def scan(self, split: str) -> Scan:
        """Thumbnails and fingerprints of a whole split, at most the profile's megapixels; read once per run."""
        from cnnaudit.checks.scan import scan

        return scan(self.target, split, self.profile.megapixels, self.seed)

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """What `make()` returns, computed once for all checks of a run on this target, profile and seed.

        Args:
            key: names the result, such as `"fidelity maps"`; checks that share a result use the same key.
            make: computes it; it may depend on the target, the profile and the seed only.
        """
        result: T = self.target.remember((key, self.seed, self.profile.name), make)
        return result

    def among(self, parts: int) -> CheckContext:
        """The context of one of `parts` findings that share this check's error."""
        return replace(self, confidence=1 - (1 - self.confidence) / max(parts, 1))

    def verdict(self, interval: tuple[float, float]) -> Verdict:
        """Pass with the interval inside the tolerance, fail with it outside, inconclusive between."""
        return verdict(interval, self.tolerance, self.check.direction)

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
        hint: str = "",
        locations: Sequence[Location] = (),
        evidence: Sequence[Mapping[str, Any]] = (),
    ) -> Finding:
        """The finding of a measured statistic with its interval; `summary` states the fact in one sentence.

        A `hint` names the cause on this target, where the check found it out; it is shown first, whatever the verdict.
        `needed_n` images are kept only where the target has so many: no profile looks at more.
        """
        verdict = self.verdict(interval)
        if verdict == "inconclusive" and needed_n is None:
            needed_n = _needed_n(statistic, interval, self.tolerance, n)
        if needed_n is not None:
            needed_n = max(needed_n, n + 1)
            if n_unit == "images" and needed_n > self._most_images():
                needed_n = None
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
            hint=hint,
            reference=self.check.reference,
            locations=tuple(locations),
            evidence=tuple(evidence),
        )

    def _most_images(self) -> int:
        """The images of the largest split that the check asks for."""
        splits = self.target.splits
        asked: list[str] = [name for name in self.check.needs if name in splits] or list(splits)
        return max((len(splits[name].labels) for name in asked), default=0)

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


def verdict(interval: tuple[float, float], tolerance: float, direction: str) -> Verdict:
    """Pass with the interval inside the tolerance, fail with it outside, inconclusive between.

    Example:
        >>> [verdict(interval, 0.2, "at_most") for interval in ((0.0, 0.1), (0.1, 0.3), (0.25, 0.3))]
        ['pass', 'inconclusive', 'fail']
    """
    low, high = interval
    if direction == "at_most":
        return "pass" if high <= tolerance else "fail" if low > tolerance else "inconclusive"
    return "pass" if low >= tolerance else "fail" if high < tolerance else "inconclusive"


def _needed_n(statistic: float, interval: tuple[float, float], tolerance: float, n: int) -> int | None:
    """How many observations would decide, by the 1 / sqrt(n) law of the interval's nearer half."""
    distance = abs(tolerance - statistic)
    half = (interval[1] - statistic) if tolerance >= statistic else (statistic - interval[0])
    if distance == 0 or half <= 0:
        return None
    return int(np.ceil(n * (half / distance) ** 2))
