"""A report: everything that one run found out about one target."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import AuditError
from cnnaudit.core.expectations import Expectation, Outcome, outcomes
from cnnaudit.core.findings import SCHEMA, Finding

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Report:
    """What one run found out about one target.

    Attributes:
        target: what was audited, as made by `describe`.
        environment: what it was audited with and when, as made by `environment`.
        findings: in the order of their ids, so that the order of the tests does not show.
        errors: `{"check": id, "message": text}` of each check that crashed.
        complete: False where the run was interrupted and some checks were never asked.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", tuple(sorted(self.findings, key=lambda finding: finding.check)))
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

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; `from_json` is its inverse."""
        return {
            "schema": SCHEMA,
            "target": dict(self.target),
            "environment": dict(self.environment),
            "complete": self.complete,
            "errors": [dict(error) for error in self.errors],
            "findings": [finding.to_json() for finding in self.findings],
        }

    @classmethod
    def from_json(cls, data: Any) -> Report:
        """A report from the values that `to_json` gave.

        Raises:
            ValueError: another schema, or a field is missing or malformed.
        """
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
            raise ValueError(f"expected the schema {SCHEMA!r}, found {found!r}")
        try:
            return cls(
                target={**data["target"], "name": str(data["target"]["name"])},
                environment=dict(data["environment"]),
                findings=tuple(Finding.from_json(item) for item in data["findings"]),
                errors=tuple({"check": str(e["check"]), "message": str(e["message"])} for e in data.get("errors", ())),
                complete=bool(data.get("complete", True)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the report is malformed: {type(error).__name__} {error}") from None


def describe(target: AuditTarget) -> dict[str, Any]:
    """What was audited, as JSON values without machine paths.

    Gives `name`, `source` (the audit file), `classes`, `input`, `claims`, `splits` (images, in all and per class)
    and `expected`.
    """
    return {
        "name": target.name,
        "source": _portable(target.source),
        "classes": list(target.classes),
        "input": asdict(target.input) | {"size": list(target.input.size)},
        "claims": {key: value for key, value in asdict(target.claims).items() if value not in (None, False)},
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


def load_report(path: str | os.PathLike[str]) -> Report:
    """The report in a `report.json`, or in the folder that holds one.

    Raises:
        AuditError: there is no such file, it is not JSON, or it has another schema.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "report.json"
    try:
        return Report.from_json(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise AuditError(
            f"{file}: cannot read the report ({error.strerror}); expected a report.json or its folder"
        ) from None
    except ValueError as error:
        raise AuditError(f"{file}: not a cnnaudit report: {error}") from None


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
