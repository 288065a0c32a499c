"""Findings about a model that is fed wrongly say so, and keep their own remedies back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cnnaudit.core.findings import Finding

CHECK = "behavior.input"
HINT = f"The input is in doubt ({CHECK}): the model seems to be fed wrongly, which this finding may be about."
REMEDY = f"Mend the input first (see {CHECK}), then audit again."
# These look at the data alone; what they find holds however the model is fed.
_ABOUT_DATA = (
    "dataset.constant_class",
    "dataset.contradictory_labels",
    "dataset.few_distinct",
    "dataset.leakage",
    "dataset.metadata_shortcut",
)


def note_input_in_doubt(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings, noted where `behavior.input` failed: each that fails or is undecided gets the hint and its remedy.

    Findings about the data alone stay as they are, and so do passes. A second call changes nothing.

    Example:
        >>> doubt = Finding("behavior.input", "demo", "fail", "BGR.", statistic=0.5)
        >>> other = Finding("behavior.claimed_accuracy", "demo", "fail", "Half.", statistic=0.4, remedy="Train longer.")
        >>> note_input_in_doubt([doubt, other])[1].remedy
        'Mend the input first (see behavior.input), then audit again.'
    """
    if not any(finding.check == CHECK and finding.verdict == "fail" for finding in findings):
        return tuple(findings)
    return tuple(_noted(finding) if _in_doubt(finding) else finding for finding in findings)


def _in_doubt(finding: Finding) -> bool:
    """Whether a finding is about what the model answers, and says that something is wrong or undecided."""
    return finding.verdict in ("fail", "inconclusive") and finding.base_check not in (CHECK, *_ABOUT_DATA)


def _noted(finding: Finding) -> Finding:
    return replace(finding, hint=HINT, remedy=REMEDY)
