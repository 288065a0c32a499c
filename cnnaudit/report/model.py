"""A report: everything that one run found out about one target."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from cnnaudit.core.expectations import Expectation, Outcome, outcomes
from cnnaudit.core.finding_list import Findings
from cnnaudit.core.findings import SCHEMA, Finding
from cnnaudit.report.input_doubt import note_input_in_doubt

if TYPE_CHECKING:
    import pandas

    from cnnaudit.target import AuditTarget

EXTRAS = ("completeness", "journal", "predictions", "cues")
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Report:
    """What one run found out about one target.

    Attributes:
        target: what was audited, as made by `describe`.
        environment: what it was audited with and when, as made by `environment`.
        findings: in the order of their ids, so that the order of the tests does not show.
        errors: `{"check": id, "message": text}` of each check that crashed.
        complete: False where a check that was selected was never recorded.
        completeness: the ids of the checks that were `selected`, `recorded`, `crashed`, `ignored` and `missing`, as
            made by `cnnaudit.core.records.completeness`; None in a report that was not made from a run.
        journal: the `run` and the number of `records` of the journal behind the report.
        predictions: what the model says of each image of the run's sample, as made by
            `cnnaudit.report.predictions.predictions`, or `{"missing": reason}`; None where no check asked.
        cues: what another command adds to a report, kept as it is.

    Example:
        >>> report = Report({"name": "demo"}, findings=(Finding("a.b", "demo", "pass", "All well.", statistic=0.0),))
        >>> [outcome.kind for outcome in report.outcomes()]
        ['passed']
    """

    target: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    errors: tuple[Mapping[str, str], ...] = ()
    complete: bool = True
    completeness: Mapping[str, Sequence[str]] | None = None
    journal: Mapping[str, Any] | None = None
    predictions: Mapping[str, Any] | None = None
    cues: Any = None

    def __post_init__(self) -> None:
        noted = note_input_in_doubt(self.findings)  # here, so that it holds whichever process found what
        object.__setattr__(self, "findings", tuple(sorted(noted, key=lambda finding: finding.check)))
        object.__setattr__(self, "errors", tuple(sorted(self.errors, key=lambda error: error["check"])))

    @property
    def name(self) -> str:
        """The target's name."""
        return str(self.target["name"])

    def outcomes(self) -> list[Outcome]:
        """What became of every finding, worst first, once the expectations of the target's file are held against it.

        They are dated by the day of the run, so an old report keeps its outcome.
        """
        entries = [
            Expectation(entry["check"], entry["reason"], _date(entry.get("until")))
            for entry in self.target.get("expected", ())
        ]
        named = [finding for finding in self.findings if not any(entry.covers(finding.check) for entry in entries)]
        entries += [Expectation(finding.check, finding.expected) for finding in named if finding.expected is not None]
        day = _date(str(self.environment.get("time", ""))[:10]) or datetime.date.min
        return outcomes(self.findings, entries, day, strict=bool(self.environment.get("strict")))

    @classmethod
    def of(cls, target: AuditTarget, findings: Sequence[Finding], profile: str = "quick", seed: int = 0) -> Report:
        """The report of findings that `cnnaudit.audit` gave, with that profile and seed."""
        return cls(describe(target), environment(profile, seed, target.device), tuple(findings))

    def to_html(self) -> str:
        """The whole report as one HTML page that needs nothing beside it."""
        from cnnaudit.report.html import page

        return page(self)

    def to_frame(self) -> pandas.DataFrame:
        """One row per finding, see `Findings.to_frame`."""
        return Findings(self.findings).to_frame()

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict over the table of findings."""
        from cnnaudit.core.notebook import text
        from cnnaudit.report.verdict import headline

        return (
            f"<p><strong>{text(self.name)}</strong>: {text(headline(self))}</p>{Findings(self.findings)._repr_html_()}"
        )

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; `from_json` is its inverse."""
        extras = {key: getattr(self, key) for key in EXTRAS if getattr(self, key) is not None}
        return {
            "schema": SCHEMA,
            "target": dict(self.target),
            "environment": dict(self.environment),
            "complete": self.complete,
            "errors": [dict(error) for error in self.errors],
            "findings": [finding.to_json() for finding in self.findings],
            **extras,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """A report from the values that `to_json` gave; `load_report` checks values from outside first."""
        return cls(
            target=dict(data["target"]),
            environment=dict(data["environment"]),
            findings=tuple(Finding.from_json(item) for item in data["findings"]),
            errors=tuple(dict(error) for error in data.get("errors", ())),
            complete=data.get("complete", True),
            **{key: data.get(key) for key in EXTRAS},
        )


def describe(target: AuditTarget) -> dict[str, Any]:
    """What was audited, as JSON values without machine paths.

    Gives `name`, `previous` (the name of the model that it replaces), `source` (the audit file), `classes`, `input`,
    `claims`, `splits` (images, in all and per class) and `expected`.
    """
    previous = {"previous": target.previous.name} if target.previous is not None else {}
    return {
        "name": target.name,
        **previous,
        "source": _portable(target.source),
        "classes": list(target.classes),
        "input": asdict(target.input) | {"size": list(target.input.size)},
        "claims": {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(target.claims).items() if v},
        "splits": {name: _count(target, name) for name in sorted(target.splits)},
        "expected": [
            {"check": entry.check, "reason": entry.reason, "until": entry.until.isoformat() if entry.until else None}
            for entry in target.expected
        ],
    }


def environment(
    profile: str = "quick", seed: int = 0, device: str = "cpu", *, strict: bool = False, time: str | None = None
) -> dict[str, Any]:
    """With what and when the audit ran, as JSON values without machine paths or user names.

    Args:
        strict: whether inconclusive findings fail the run.
        time: ISO time of the run's start; None: now, in UTC.
    """
    from cnnaudit import __version__

    torch = sys.modules.get("torch")
    on_gpu = device.startswith("cuda") and torch is not None and torch.cuda.is_available()
    return {
        "cnnaudit": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _processor(),
        "device": torch.cuda.get_device_name(device) if on_gpu and torch is not None else device,
        "threads": torch.get_num_threads() if torch is not None else os.cpu_count(),
        "profile": profile,
        "seed": seed,
        "strict": strict,
        "time": time or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _portable(path: str) -> str:
    """A path relative to the working folder, or only its last part where it lies elsewhere."""
    if not PurePath(path).is_absolute():
        return PurePath(path).as_posix() if path else ""
    inside = PurePath(path).is_relative_to(Path.cwd())
    return PurePath(path).relative_to(Path.cwd()).as_posix() if inside else PurePath(path).name


def _count(target: AuditTarget, split: str) -> dict[str, Any]:
    """Number of images in a split, in all and of each class."""
    labels = target.splits[split].labels.tolist()
    return {"images": len(labels), "per_class": {name: labels.count(k) for k, name in enumerate(target.classes)}}


def _version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _date(text: str | None) -> datetime.date | None:
    """The date of ISO text, None for none."""
    return datetime.date.fromisoformat(text) if text else None
