"""Bounds that the audit file claims."""

from __future__ import annotations

from dataclasses import replace

from cnnaudit.checks import CheckContext
from cnnaudit.target import AuditTarget


def is_claimed(target: AuditTarget, claim: str) -> bool:
    """Whether the file claims that bound: what it promises fails the run where it does not hold."""
    return getattr(target.claims, claim) is not None


def bound_by(context: CheckContext, claim: str) -> CheckContext:
    """The context with the claimed bound as its tolerance, where the file claims one."""
    claimed = getattr(context.target.claims, claim)
    return context if claimed is None else replace(context, tolerance=float(claimed))
