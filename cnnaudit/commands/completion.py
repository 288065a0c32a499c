"""`cnnaudit completion`: the script that completes commands, options and files in a shell."""

from __future__ import annotations

import argparse

from cnnaudit.core.errors import AuditError

HELP = "print the completion script of a shell; needs the extra 'completion'"
SHELLS = ("bash", "zsh", "tcsh")
FILES = ("AUDIT.TOML", "FILE", "REPORT", "A.json", "B.json", "IMAGE", "DATA")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell: bash, zsh or tcsh")


def run(options: argparse.Namespace) -> int:
    """Print the script.

    Raises:
        AuditError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise AuditError("shtab is not installed; pip install 'cnnaudit[completion]'") from None
    for parser in _parsers(options.program):
        for action in parser._actions:
            if action.metavar in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar == "DIR":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(options.program, options.shell))
    return 0


def _parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    commands = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [parser, *(inner for action in commands for inner in action.choices.values())]
