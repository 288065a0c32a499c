"""`cnnaudit audit`: the arguments, the defaults of the project, and what is printed."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cnnaudit.core.findings import Finding
from cnnaudit.core.profiles import PROFILES
from cnnaudit.core.project import KEYS, project_defaults
from cnnaudit.pages.arguments import at_least

HELP = "audit targets; options of pytest such as -k and -n 2 are passed on"
WRONG_USE = 4
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {"configs": (), "only": (), "report": "reports", "profile": "quick", "seed": 0, "strict": False, "quiet": False}
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit audit`; what is not given comes from the project, see `settings`."""
    switch = argparse.BooleanOptionalAction
    parser.add_argument(
        "configs", nargs="*", metavar="AUDIT.TOML", help="targets (default, in a checkout: the references)"
    )
    parser.add_argument("--report", metavar="DIR", help="folder that reports are written to (default: reports)")
    parser.add_argument(
        "--profile", choices=list(PROFILES), help="how many images each answer rests on (default: quick)"
    )
    parser.add_argument("--seed", type=at_least(0), help="seed of every random choice (default: 0)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="ID",
        help="ask only this check, or those that a pattern such as 'padding.*' matches; may be repeated",
    )
    parser.add_argument("--strict", action=switch, help="fail the run on inconclusive findings")
    parser.add_argument("--quiet", action=switch, help="print only the verdict and where the reports are")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON, and nothing else")


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was given, else what `[tool.cnnaudit]` in `pyproject.toml` says, else the defaults.

    Raises:
        ConfigError: that table is not valid.
    """
    given = {key: value for key in KEYS if (value := getattr(options, key, None)) not in (None, [])}
    return {**DEFAULTS, **project_defaults(Path.cwd()), **given}


def run(options: argparse.Namespace) -> int:
    """Run the audit, print what was asked for, and give pytest's exit status.

    Raises:
        ConfigError: the project's table is not valid.
    """
    from cnnaudit.plugin.child import Shown
    from cnnaudit.plugin.child import run as audit

    asked = settings(options)
    folder = Path(asked["report"])
    shown: Shown = "errors" if options.json else "verdict" if asked["quiet"] else "run"
    done = audit([*arguments(**asked), *options.rest], folder, shown)
    if options.json:
        print(json.dumps({"status": done.status, "targets": _targets(folder, done.id)}, indent=2, ensure_ascii=False))
    if done.status == WRONG_USE and (meant := _meant(options)):
        print(meant, file=sys.stderr)
    return done.status


def arguments(
    configs: Sequence[str], only: Sequence[str], report: str, profile: str, seed: int, strict: bool, **_: Any
) -> list[str]:
    """The settings as pytest takes them."""
    # The audit's own summary says it all; this package is imported before pytest could rewrite its assertions.
    quiet = ["--tb=no", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    given = ["--pyargs", "cnnaudit.suites", *quiet, "--audit-report", report]
    given += ["--audit-profile", profile, "--audit-seed", str(seed)]
    given += [f"--audit-config={config}" for config in configs]
    given += [f"--audit-only={pattern}" for pattern in only]
    return [*given, *(["--audit-strict"] if strict else [])]


def _targets(folder: Path, run: str) -> list[dict[str, Any]]:
    """What a run found, per target; the evidence stays in `report.json`."""
    from cnnaudit.plugin.child import pages
    from cnnaudit.plugin.results import journals
    from cnnaudit.report.verdict import entries, headline, status

    found, files = dict(journals(folder, run)), pages(folder, run)
    return [
        {
            "target": name,
            "verdict": status(report),
            "headline": headline(report),
            "complete": report.complete,
            "report": files[name].as_posix(),
            "errors": [dict(error) for error in report.errors],
            "findings": [{"outcome": entry.kind, **_without_evidence(entry.finding)} for entry in entries(report)],
        }
        for name in sorted(found)
        for report in [found[name].report()]
    ]


def _without_evidence(finding: Finding) -> dict[str, Any]:
    """The finding as JSON values; pictures and tables would bury its numbers."""
    return {key: value for key, value in finding.to_json().items() if key != "evidence"}


def _meant(options: argparse.Namespace) -> str:
    """Which option of `audit` was meant, where one that pytest refused is nearly its name."""
    own = [name for action in options.parser._actions for name in action.option_strings]
    unknown = [word.partition("=")[0] for word in options.rest if word.startswith("--")]
    hints = [(word, near[0]) for word in unknown if (near := difflib.get_close_matches(word, own, 1, cutoff=0.8))]
    return "\n".join(f"cnnaudit audit: {word}: did you mean {name}?" for word, name in hints)
