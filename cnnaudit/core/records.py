"""What the tests of a run record, and whether all that was selected is among it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnaudit.core.findings import Finding


@dataclass(frozen=True)
class Selected:
    """A test that was selected to audit a target, with the ids of its checks where its code names them."""

    test: str
    checks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """One check asked of one target: its findings, the message of its crash, or that the target's file ignores it.

    `predictions` stands in the first record that a process made once the model had answered.
    """

    check: str
    target: Mapping[str, Any]
    environment: Mapping[str, Any]
    test: str = ""
    findings: tuple[Finding, ...] = ()
    error: str = ""
    ignored: bool = False
    predictions: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {**vars(self), "findings": [finding.to_json() for finding in self.findings]}

    def to_text(self) -> str:
        """The record as JSON text; `from_text` is its inverse.

        Raises:
            TypeError, ValueError: the evidence of a finding holds something that JSON cannot.
        """
        return json.dumps(self.to_json(), allow_nan=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """A record from the values that `to_json` gave."""
        return cls(**{**data, "findings": tuple(Finding.from_json(item) for item in data["findings"])})

    @classmethod
    def from_text(cls, text: str) -> Record:
        """A record from the text that `to_text` gave."""
        return cls.from_json(json.loads(text))


def completeness(selected: Sequence[Selected], records: Iterable[Record]) -> dict[str, list[str]]:
    """The checks that were selected, recorded, crashed, ignored by the target's file, and missing, by id.

    A test whose code does not name its checks counts by what it recorded, and by its own name where that is nothing.

    Example:
        >>> completeness([Selected("test_a", ("x.a",)), Selected("test_b")], [Record("x.a", {}, {}, "test_a")])
        {'selected': ['test_b', 'x.a'], 'recorded': ['x.a'], 'crashed': [], 'ignored': [], 'missing': ['test_b']}
    """
    records = list(records)
    asked = {record.check for record in records}
    wanted = set(asked)
    for one in selected:
        found = {record.check for record in records if record.test == one.test}
        wanted |= set(one.checks) or found or {one.test.rpartition("::")[2]}
    ignored = {record.check for record in records if record.ignored}
    return {
        "selected": sorted(wanted),
        "recorded": sorted(asked - ignored),
        "crashed": sorted(record.check for record in records if record.error),
        "ignored": sorted(ignored),
        "missing": sorted(wanted - asked),
    }
