"""The checks, one file per family, and what runs them."""

from cnnaudit.checks.registry import Check, Trial, catalogue, check, select
from cnnaudit.checks.run import AuditCrashError, audit, gates, run_check

__all__ = ["AuditCrashError", "Check", "Trial", "audit", "catalogue", "check", "gates", "run_check", "select"]
