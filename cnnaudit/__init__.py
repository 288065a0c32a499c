"""cnnaudit: did my image classifier learn the right thing?

Importing this package imports neither torch nor pytest; names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnaudit.checks import AuditCrashError, audit
    from cnnaudit.checks.audit_file import load_target
    from cnnaudit.core.finding_list import Findings
    from cnnaudit.core.findings import Finding, Location
    from cnnaudit.report import Report, load_report
    from cnnaudit.target import AuditTarget

__version__ = "0.2.0"

_HOMES = {
    "AuditCrashError": "cnnaudit.checks",
    "audit": "cnnaudit.checks",
    "load_target": "cnnaudit.checks.audit_file",
    "Finding": "cnnaudit.core.findings",
    "Findings": "cnnaudit.core.finding_list",
    "Location": "cnnaudit.core.findings",
    "Report": "cnnaudit.report",
    "load_report": "cnnaudit.report",
    "AuditTarget": "cnnaudit.target",
}
_PACKAGES = (
    "activation",
    "attribution",
    "cues",
    "data",
    "interventions",
    "models",
    "optimization",
    "planted",
    "testing",
    "topology",
    "training",
    "units",
)

__all__ = [
    "AuditCrashError",
    "AuditTarget",
    "Finding",
    "Findings",
    "Location",
    "Report",
    "audit",
    "load_report",
    "load_target",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"cnnaudit.{name}")
    raise AttributeError(f"module 'cnnaudit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_PACKAGES])
