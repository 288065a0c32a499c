"""What every check must hold, ours and anybody's: the conformance suite of checks."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnaudit.checks import Check, Plant
from cnnaudit.checks.calibration import TYPICAL_GATES
from cnnaudit.checks.nulls import null_distribution
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import gate_confidence

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

HEAVY = {"torch", "torchvision", "scipy", "sklearn", "matplotlib", "PIL", "pandas"}


def check_check(check: Check, *, seed: int = 0) -> None:
    """Assert what every check must hold; an `AssertionError` says what does not.

    The check explains itself, its module stays light, each planted defect fails and each clean twin passes, the same
    seed gives the same finding, findings survive JSON, and the stored null distribution belongs to the tolerance.

    Args:
        check: a decorated check, of this package or of another.
        seed: of the planted targets.

    Example:
        >>> from cnnaudit.checks.dataset.label_signal import label_signal
        >>> check_explanation(label_signal)
    """
    check_explanation(check)
    check_light_import(check)
    check_null_distribution(check)
    assert check.plants, f"{check.id}: PLANTS in {check.module} holds no planted defect with its clean twin"
    for plant in check.plants:
        check_plant(check, plant, seed)


def check_explanation(check: Check) -> None:
    """Question, statistic, remedy and docstring are there, and are whole sentences where they should be."""
    where = f"{check.id} ({check.module})"
    assert re.fullmatch(r"[A-Z].*\?", check.question), f"{where}: the question is a sentence with a question mark"
    assert check.statistic and not check.statistic.endswith("."), f"{where}: the statistic is a noun, without a period"
    assert len(check.remedy) > 20 and check.remedy.endswith("."), f"{where}: the remedy is a sentence of what to do"
    assert len(inspect.cleandoc(check.body.__doc__ or "")) > 80, f"{where}: the docstring defines the statistic"


def check_light_import(check: Check) -> None:
    """The module imports heavy packages inside functions only, so that collecting tests stays fast."""
    path = Path(str(sys.modules[check.module].__file__))
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names: Sequence[str] = ()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        heavy = HEAVY & {name.partition(".")[0] for name in names}
        assert not heavy, f"{path}: line {node.lineno} imports {', '.join(heavy)}; import it inside the function"


def check_null_distribution(check: Check) -> None:
    """The stored null distribution is there, belongs to this tolerance, and holds what the project promises.

    At most 1 of 100 clean targets fails, at least 9 of 10 planted defects fail, and no planted defect passes. Of a
    trait of `fidelity`, whose parts are methods, the clean targets of the first part that a plant names are counted:
    that another method fails on clean targets is a finding about the method.
    """
    null = null_distribution(check.id)
    assert null is not None, f"{check.id}: no null distribution; run: cnnaudit calibrate {check.id}"
    assert null["tolerance"] == check.tolerance_at(null["profile"]), f"{check.id}: measured for another tolerance"
    assert null["direction"] == check.direction, f"{check.id}: measured for another direction"
    methods = not check.gate and len(check.parts) > 1 and check.id.startswith("fidelity.")
    reference = null_distribution(f"{check.id}[{check.parts[0]}]") if methods else null
    assert reference is not None, f"{check.id}: nothing measured of {check.parts[0]}"
    alarms, power = reference["false_alarms"], null["power"]
    assert alarms["count"] <= 0.01 * alarms["n"], f"{check.id}: {alarms['count']} of {alarms['n']} clean targets fail"
    assert power["count"] >= 0.9 * power["n"], f"{check.id}: finds {power['count']} of {power['n']} planted defects"
    passed = [p["name"] for p in null["populations"] if p["kind"] == "defect" and p["verdicts"].get("pass")]
    assert not passed, f"{check.id}: passes a planted defect: {passed}"


def check_plant(check: Check, plant: Plant, seed: int = 0) -> None:
    """The planted defect fails, the check's first one twice alike, and its clean twin passes."""
    for build, expected in ((plant.defect, "fail"), (plant.twin, "pass")):
        target = build(seed)
        found = _parts(ask(check, target, seed), plant.parts)
        missing = set(plant.parts) - {finding.part for finding in found}
        assert found and not missing, f"{check.id}: no finding {sorted(missing) or ''} on {plant.name!r}"
        for finding in found:
            told = f"{plant.name if expected == 'fail' else f'the twin of {plant.name}'!r}: {finding.summary}"
            assert finding.verdict == expected, f"{finding.check}: {finding.verdict}, expected {expected} on {told}"
            assert Finding.from_json(finding.to_json()) == finding, f"{finding.check}: JSON loses something"
            assert finding.summary.rstrip()[-1:] in ".!?", f"{finding.check}: the summary is no sentence: {told}"
        if expected == "pass" or plant != check.plants[0]:
            continue
        again = _parts(ask(check, replace(target, _cache={}), seed), plant.parts)
        assert [replace(f, seconds=0.0) for f in again] == [replace(f, seconds=0.0) for f in found], (
            f"{check.id}: the same seed gives another finding on {plant.name!r}"
        )


def ask(check: Check, target: AuditTarget, seed: int = 0) -> list[Finding]:
    """The findings of a check at the confidence that it has in a run of sixteen gates."""
    confidence = gate_confidence(TYPICAL_GATES if check.is_gate(target) else 1)
    found = check(target, seed=seed, confidence=confidence)
    return [found] if isinstance(found, Finding) else found


def _parts(findings: Sequence[Finding], parts: Sequence[str]) -> list[Finding]:
    return [finding for finding in findings if not parts or finding.part in parts]
