"""The overview of several reports as one web page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnaudit.report.html import anchor, templates
from cnnaudit.report.model import Report
from cnnaudit.report.paths import folder_name
from cnnaudit.report.verdict import entries, headline, overall, status, worst_first
from cnnaudit.report.words import LOOKS


def index_page(reports: Sequence[Report]) -> str:
    """An overview of several reports that links each target's own page."""
    ordered = worst_first(reports)
    targets = [
        {
            "name": report.name,
            "status": status(report),
            "headline": headline(report),
            "href": f"{folder_name(report.name)}/report.html",
        }
        for report in ordered
    ]
    return (
        templates()
        .get_template("index.html.j2")
        .render(looks=LOOKS, headline=overall(reports), targets=targets, rows=_matrix(ordered))
    )


def _matrix(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """A row per check with what became of it on each target."""
    kinds: list[dict[str, str]] = [
        {entry.finding.check: entry.kind for entry in entries(report)} | {e["check"]: "crashed" for e in report.errors}
        for report in reports
    ]
    rows = []
    for check in sorted(set().union(*kinds)):
        cells = [
            {
                "kind": found[check],
                "name": report.name,
                "href": f"{folder_name(report.name)}/report.html#{anchor(found[check], check)}",
            }
            if check in found
            else None
            for report, found in zip(reports, kinds)
        ]
        rows.append({"check": check, "cells": cells})
    return rows
