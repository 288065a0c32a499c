"""`cnnaudit cues`: the cue table of a target on one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnnaudit.core.profiles import PROFILES
from cnnaudit.pages.arguments import output_file, seed
from cnnaudit.pages.output import prepared

HELP = "show which cues give the labels away and which of them the model uses, on one page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit cues`."""
    parser.add_argument("config", type=Path, metavar="AUDIT.TOML", help="audit file of the model and its images")
    parser.add_argument(
        "--output", type=output_file, metavar="FILE", help="page to write (default: reports/TARGET/cues.html)"
    )
    parser.add_argument(
        "--profile", default="quick", choices=list(PROFILES), help="how much each answer rests on (default: quick)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of every random choice (default: 0)")


def run(options: argparse.Namespace) -> int:
    """Write the page, and print where.

    Raises:
        AuditError: a wrong audit file, or the page cannot be written.
    """
    from cnnaudit.checks.audit_file import load_target
    from cnnaudit.pages.cues.page import cues
    from cnnaudit.report.paths import folder_name

    target = load_target(options.config)
    path = options.output or Path("reports") / folder_name(target.name) / "cues.html"
    prepared(path.parent)
    print(f"wrote {cues(target, path, options.profile, options.seed)}")
    return 0
