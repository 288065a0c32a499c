"""The result of one check: a measured number, its uncertainty, a verdict and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

Verdict = Literal["pass", "fail", "inconclusive", "not_applicable"]
Direction = Literal["at_most", "at_least"]

SCHEMA = "cnnaudit.report/2"
SCHEMAS = ("cnnaudit.report/1", SCHEMA)  # those that are still read


@dataclass(frozen=True, slots=True)
class Location:
    """Where a finding stands, with the statistic measured there; every field but `statistic` is optional."""

    statistic: float
    layer: str | None = None
    unit: int | None = None
    class_name: str | None = None
    pixel: tuple[int, int] | None = None
    image: str | None = None

    def __post_init__(self) -> None:
        _reject_non_finite(self.statistic, "location.statistic")

    def to_json(self) -> dict[str, Any]:
        """The location as JSON values, absent fields left out and `class_name` written as `class`."""
        names = {"class_name": "class"}
        values = {names.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items() if v is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Location:
        """Inverse of `to_json`."""
        values = {("class_name" if key == "class" else key): value for key, value in data.items()}
        if values.get("pixel") is not None:
            values["pixel"] = tuple(values["pixel"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Finding:
    """One judged answer to one question about one target.

    Attributes:
        check: stable id, `family.name`, with `[part]` where a check answers per method, layer or claim.
        statistic: the measured number, in `unit`; None only where the check is not applicable.
        interval: lower and upper bound of the statistic at `confidence` (two-sided).
        tolerance: the bound the statistic is judged against, on the side named by `direction`.
        p_value: of the null hypothesis 'no defect', where a test was made.
        n: number of independent observations, counted in `n_unit` (images, seeds, units).
        needed_n: how many observations would decide an inconclusive finding; None where the target has no more.
        detectable_effect: the statistic nearest the tolerance that this `n` could have told apart from it.
        expected: the reason given in the target's file, where the failure is expected.
        hint: the cause on this target, where the check found it out, in one sentence; shown whatever the verdict.
        evidence: tables and figure data, as made by `cnnaudit.core.evidence`.

    Raises:
        ValueError: a number is NaN or infinite, or a field has a value outside its choices.

    Example:
        >>> Finding(check="padding.blind_spot", target="demo", verdict="not_applicable", summary="no claim").verdict
        'not_applicable'
    """

    check: str
    target: str
    verdict: Verdict
    summary: str
    gate: bool = False
    expected: str | None = None
    hint: str = ""
    statistic: float | None = None
    statistic_name: str = ""
    unit: str = ""
    interval: tuple[float, float] | None = None
    confidence: float | None = None
    tolerance: float | None = None
    direction: Direction = "at_most"
    p_value: float | None = None
    n: int = 0
    n_unit: str = "images"
    needed_n: int | None = None
    detectable_effect: float | None = None
    profile: str = ""
    seed: int = 0
    remedy: str = ""
    reference: str = ""
    locations: tuple[Location, ...] = ()
    evidence: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)  # pictures would fill the screen
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for name, choices in (("verdict", get_args(Verdict)), ("direction", get_args(Direction))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{self.check}: {name} must be one of {choices}, got {getattr(self, name)!r}")
        for one in fields(self):
            _reject_non_finite(getattr(self, one.name), f"{self.check}: {one.name}")
        files = [item["file"] for item in self.evidence if item.get("file")]
        if len(set(files)) < len(files):
            raise ValueError(f"{self.check}: each table needs a file name of its own, got {files}")
        if self.verdict != "not_applicable" and self.statistic is None:
            raise ValueError(f"{self.check}: a finding that is judged ({self.verdict}) needs a statistic, got None")

    @property
    def base_check(self) -> str:
        """The id without its `[part]`."""
        return self.check.partition("[")[0]

    @property
    def part(self) -> str:
        """What stands in the id's brackets; empty without them."""
        return self.check.partition("[")[2].removesuffix("]")

    @property
    def family(self) -> str:
        """The part of the id before the dot."""
        return self.check.partition(".")[0]

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values; `from_json` is its inverse."""
        data = {one.name: getattr(self, one.name) for one in fields(self)}
        data["interval"] = list(self.interval) if self.interval is not None else None
        data["locations"] = [location.to_json() for location in self.locations]
        data["evidence"] = [dict(item) for item in self.evidence]
        return data

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from cnnaudit.core.finding_list import measured, tolerated
        from cnnaudit.core.notebook import facts_html

        facts = [
            ("verdict", self.verdict),
            ("kind", "gate" if self.gate else "trait"),
            ("found", self.summary),
            ("hint", self.hint),
            ("measured", f"{measured(self) or ''} {self.unit}".strip()),
            ("tolerated", tolerated(self)),
            ("rests on", f"{self.n:,} {self.n_unit}" if self.n else ""),
            ("expected", self.expected),
            ("what to do", self.remedy if self.verdict == "fail" else ""),
            ("reference", self.reference),
        ]
        return facts_html(f"{self.check} on {self.target}", facts)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """A finding from the values that `to_json` gave.

        Raises:
            ValueError: a field is unknown or missing.
        """
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"finding has unknown field(s) {unknown}; expected a subset of {sorted(known)}")
        values = dict(data)
        if values.get("interval") is not None:
            low, high = values["interval"]
            values["interval"] = (low, high)
        values["locations"] = tuple(Location.from_json(item) for item in values.get("locations", ()))
        values["evidence"] = tuple(values.get("evidence", ()))
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"finding is incomplete: {error}") from None


def _reject_non_finite(value: Any, where: str) -> None:
    """Raise where a float anywhere inside `value` is NaN or infinite: a report must never carry one."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} must be finite, got {value}")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _reject_non_finite(item, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for item in value:
            _reject_non_finite(item, where)
