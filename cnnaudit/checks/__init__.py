"""The checks of an audit: one file each, in a folder per family."""

from cnnaudit.checks._catalogue import catalogue, catalogue_of, family, known_checks
from cnnaudit.checks.context import CheckContext
from cnnaudit.checks.registry import Check, Plant, Population, check
from cnnaudit.checks.run import AuditCrashError, audit, gates, run_check, selected
from cnnaudit.core.selection import select

__all__ = [
    "AuditCrashError",
    "Check",
    "CheckContext",
    "Plant",
    "Population",
    "audit",
    "catalogue",
    "catalogue_of",
    "check",
    "family",
    "gates",
    "known_checks",
    "run_check",
    "select",
    "selected",
]
