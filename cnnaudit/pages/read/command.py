"""`cnnaudit read`: a page that explains a small model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cnnaudit.core.errors import AuditError, ConfigError
from cnnaudit.pages.arguments import folder
from cnnaudit.pages.output import OutputError, prepared

HELP = "explain a small model on one page: its features, its filters, its data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit read`."""
    parser.add_argument(
        "configs", nargs="*", type=Path, metavar="AUDIT.TOML", help="targets (default, in a checkout: the references)"
    )
    parser.add_argument(
        "--layer", metavar="NAME", help="layer whose output is read (default: the input of the classifier)"
    )
    parser.add_argument(
        "--output", type=folder, default="reports", metavar="DIR", help="folder to write to (default: reports)"
    )


def run(options: argparse.Namespace) -> int:
    """Write the page of every target, or say why one cannot be read; 4 where one could not.

    Raises:
        ConfigError: no audit file is named, and there are no reference targets here.
        OutputError: nothing can be written.
    """
    from cnnaudit.checks.audit_file import load_target
    from cnnaudit.pages.read.page import write_reading

    status = 0
    prepared(options.output)
    for path in options.configs or references():
        try:
            print(f"wrote {write_reading(load_target(path), options.output, options.layer)}", flush=True)
        except OutputError:
            raise
        except AuditError as reason:
            print(f"cnnaudit read: {path}: {reason}", file=sys.stderr, flush=True)
            status = 4
    return status


def references(folder: Path = Path("fixtures/targets")) -> list[Path]:
    """The reference targets of a checkout.

    Raises:
        ConfigError: there are none here.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise ConfigError(f"no audit file given, and {folder} holds none; name an audit file")
    return paths
