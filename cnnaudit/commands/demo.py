"""`cnnaudit demo`: an audit that needs nothing, of a network with a planted defect and of its clean twin."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cnnaudit.core.errors import AuditError
from cnnaudit.pages.arguments import folder

HELP = "audit a small network that uses a planted tag, and its clean twin: half a minute"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit demo`."""
    parser.add_argument(
        "--output",
        type=folder,
        default="cnnaudit-demo",
        metavar="DIR",
        help="folder for the audit files, the weights and the reports (default: cnnaudit-demo)",
    )
    parser.add_argument("--open", action="store_true", help="open the report in a browser")


def run(options: argparse.Namespace) -> int:
    """Train, audit, and say where the report is; status 0 where the audit found the tag and nothing else.

    Raises:
        AuditError: the folder holds other files of these names, or the audit did not find what was planted.
    """
    from cnnaudit.commands.audit import DEFAULTS, arguments
    from cnnaudit.demo import CHECKS, prepare
    from cnnaudit.plugin.child import run as audit

    place = Path(options.output)
    print("Training two small networks on circles, squares and triangles, one with a white tag on every circle.")
    configs = prepare(place)
    print("Auditing both: five of the gates.", flush=True)
    reports = place / "reports"
    asked = {**DEFAULTS, "configs": configs, "only": CHECKS, "report": str(reports)}
    done = audit(arguments(**asked), reports, "verdict")
    _confirm(reports, done.id)
    index = reports / "index.html"
    print(f"both: {index}\nNext: cnnaudit cues {configs[0]}, or cnnaudit init for your own model.")
    if options.open:
        _open(index)
    return 0


def _confirm(reports: Path, run: str) -> None:
    """See to it that the audit found the tag, and nothing in the twin.

    Raises:
        AuditError: it did not.
    """
    from cnnaudit.demo import EXPECTED_FAILURE, TARGETS
    from cnnaudit.plugin.results import journals
    from cnnaudit.report.verdict import entries

    found = {name: journal.report() for name, journal in journals(reports, run)}
    failed = {
        name: {entry.finding.check for entry in entries(report) if entry.kind == "failed"} if report.complete else None
        for name, report in found.items()
    }
    if failed != {name: {EXPECTED_FAILURE} if tagged else set() for name, tagged in TARGETS.items()}:
        raise AuditError(f"the demo should fail {EXPECTED_FAILURE} on tagged-circles alone, but got {failed}")


def _open(page: Path) -> None:
    """Show a page in the browser, or say that there is none."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        print("No browser could be started.", file=sys.stderr)
