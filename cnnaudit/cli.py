"""The command line: `cnnaudit COMMAND`, or `python -m cnnaudit COMMAND`; `--help` lists the commands.

Short commands are here, longer ones in `cnnaudit/commands/`; those that write pages are found in
`cnnaudit/pages/*/command.py`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from cnnaudit import __version__, pages
from cnnaudit.commands import audit, completion, demo
from cnnaudit.core import progress
from cnnaudit.core.errors import AuditError
from cnnaudit.core.wording import nearest
from cnnaudit.pages.arguments import folder, output_file, positive_int, reason

PROG = "cnnaudit"
INTERRUPTED = 2
WRONG_USE = 4
SECONDS = 10.0  # between two lines of progress where there is no terminal


class Parser(argparse.ArgumentParser):
    """Exits with status 4, as pytest does for wrong use (2 means that a run was interrupted); names what was meant."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            names = list(map(str, action.choices))
            meant = nearest(str(value), names)
            raise argparse.ArgumentError(action, f"unknown: {_plain(value)!r}{meant}; there are {', '.join(names)}")

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(WRONG_USE, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 fine, 1 an audit or comparison failed, 2 interrupted, 4 wrong use.

    Example:
        >>> main(["checks", "--ids", "dataset.leakage"])
        dataset.leakage
        0
    """
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    if rest and options.command != "audit":
        own = [name for action in options.parser._actions for name in action.option_strings]
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}{nearest(rest[0].partition('=')[0], own)}")
    options.rest = rest
    return _guarded(options)


def _guarded(options: argparse.Namespace) -> int:
    """Run the chosen command; what goes wrong is a message and an exit status."""
    said = f"{PROG} {options.command}"
    try:
        with progress.lines(SECONDS):
            status: int = options.run(options)
    except AuditError as error:
        print(f"{said}: {_plain(error)}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt as interruption:
        print(f"{said}: {interruption or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has gone
        sys.stderr.close()
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"{said}: {place}{reason(error)}", file=sys.stderr)
        return WRONG_USE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROG, description="Did my image classifier learn the right thing?")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(
        name: str, help: str, arguments: Callable[[argparse.ArgumentParser], None], run: Callable[..., int]
    ) -> None:
        command = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        arguments(command)
        command.set_defaults(run=run, parser=command, program=parser)

    add("demo", demo.HELP, demo.add_arguments, demo.run)
    add("init", "write a commented audit.toml for a model and its images", _init_arguments, _init)
    add("checks", "list all checks, or explain some of them", _checks_arguments, _checks)
    add("audit", audit.HELP, audit.add_arguments, audit.run)
    add("accept", "add the failures of the last report to the audit file as expected", _accept_arguments, _accept)
    add("report", "print a report.json and write its Markdown, HTML and SARIF again", _report_arguments, _report)
    add(
        "compare",
        "show what changed between two reports and which images became wrong; status 1 if worse or incomplete",
        _compare_arguments,
        _compare,
    )
    for name, page in _pages():
        add(name, page.HELP, page.add_arguments, page.run)
    add("completion", completion.HELP, completion.add_arguments, completion.run)
    add("calibrate", "measure null distribution, false alarms and power of checks", _calibrate_arguments, _calibrate)
    return parser


def _pages() -> Iterator[tuple[str, ModuleType]]:
    """The commands that write pages, by name; each has `HELP`, `add_arguments(parser)` and `run(options)`."""
    for path in sorted(Path(pages.__file__).parent.glob("*/command.py")):
        name = path.parent.name
        yield name, importlib.import_module(f"{pages.__name__}.{name}.command")


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", required=True, metavar="SOURCE", help="module:callable, torchvision:NAME, timm:NAME or a file"
    )
    parser.add_argument(
        "--arguments", nargs="+", default=(), metavar="NAME=VALUE", help="keyword arguments of the model's constructor"
    )
    parser.add_argument("--weights", metavar="FILE", help="weights: .safetensors, or .pt that holds tensors only")
    parser.add_argument("--train", metavar="DATA", help="training images: a folder per class, or module:callable")
    parser.add_argument("--validation", metavar="DATA", help="validation images, likewise")
    parser.add_argument(
        "--output", type=output_file, default="audit.toml", metavar="FILE", help="file to write (default: audit.toml)"
    )
    parser.add_argument("--ci", choices=["github", "gitlab"], help="also write the file that this service reads")


def _checks_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("patterns", nargs="*", metavar="ID", help="ids or patterns such as 'padding.*'")
    parser.add_argument("--modules", nargs="+", default=(), metavar="NAME", help="also check modules not installed")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--ids", action="store_true", help="print only the ids")
    form.add_argument("--json", action="store_true", help="print all there is to say of each as JSON")
    form.add_argument("--markdown", action="store_true", help="print a table in Markdown, as in docs/checks.md")


def _accept_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="AUDIT.TOML", help="audit file that gets the new entries")
    parser.add_argument("--report", metavar="DIR", help="folder of the reports (default: that of `cnnaudit audit`)")
    parser.add_argument("--reason", help="reason of all new entries (default: each asks for its own)")


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="REPORT", help="report.json or its folder")
    parser.add_argument("--output", type=folder, metavar="DIR", help="folder to write to (default: the report's own)")
    parser.add_argument("--card", action="store_true", help="also write a model card, model-card.md")


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Status 1: a gate newly fails, a check newly crashes, more images became wrong than the newer file claims "
        "(claims.negative_flips), either report is incomplete, the older one too, or the newer one lost checks."
    )
    parser.add_argument("older", type=Path, metavar="A.json", help="the older report")
    parser.add_argument("newer", type=Path, metavar="B.json", help="the newer report")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("patterns", nargs="*", default=["*"], metavar="ID", help="ids or patterns (default: all)")
    parser.add_argument("--modules", nargs="+", default=(), metavar="NAME", help="also check modules not installed")
    parser.add_argument(
        "--to", type=folder, metavar="DIR", help="folder for the results (default: null/ beside each check)"
    )
    parser.add_argument("--seeds", type=positive_int, help="seeds per population (default: each population's own)")
    parser.add_argument("--workers", type=positive_int, default=2, help="number of processes (default: 2)")


def _plain(text: object) -> str:
    """Text without control characters, which could rewrite the terminal: messages quote names from files."""
    from cnnaudit.report.forms import plain_json

    return str(plain_json(str(text)))


def _init(options: argparse.Namespace) -> int:
    from cnnaudit.scaffold import audit_command, read_arguments, scaffold

    written = scaffold(
        options.model,
        options.output,
        weights=options.weights,
        train=options.train,
        validation=options.validation,
        ci=options.ci,
        arguments=read_arguments(options.arguments),
    )
    for path in written.files:
        print(f"wrote {path}")
    for note in written.notes:
        print(note)
    for warning in written.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"Read it through, above all what is marked as a guess, then: {audit_command(options.output)}")
    return 0


def _checks(options: argparse.Namespace) -> int:
    from cnnaudit.checks import known_checks, select
    from cnnaudit.report.catalogue import catalogue_json, catalogue_markdown, catalogue_text, check_text

    known = known_checks(options.modules)
    chosen = select(options.patterns or ["*"], known)
    if options.ids:
        print("\n".join(chosen))
    elif options.json:
        print(json.dumps(catalogue_json([known[id] for id in chosen]), indent=2, ensure_ascii=False))
    elif options.markdown:
        print(catalogue_markdown([known[id] for id in chosen]), end="")
    elif options.patterns:
        print("\n\n".join(check_text(known[id]) for id in chosen))
    else:
        print(catalogue_text([known[id] for id in chosen]))
    return 0


def _accept(options: argparse.Namespace) -> int:
    from cnnaudit.report.accept import accept

    added = accept(options.config, Path(audit.settings(options)["report"]), options.reason)
    if not added:
        print(f"{options.config}: nothing to accept, the last report has no unexpected failure")
    for check in added:
        print(f"{options.config}: expects {check}")
    if added and not options.reason:
        print("Now give every new entry its reason; the audit refuses entries that still ask for one.")
    return 0


def _report(options: argparse.Namespace) -> int:
    from cnnaudit.report import in_color, load_report, terminal_summary, write_card, write_report

    report = load_report(options.path)
    folder = options.output or (options.path if options.path.is_dir() else options.path.parent)
    print(terminal_summary([report], color=in_color(sys.stdout)))
    paths = list(write_report(report, folder).values())
    if options.card:
        paths.append(write_card(report, folder))
    for path in paths:
        print(_plain(f"wrote {path}"))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from cnnaudit.report import compare, in_color, load_report

    comparison = compare(load_report(options.older), load_report(options.newer))
    if options.json:
        print(json.dumps(comparison.to_json(), indent=2))
    else:
        print(comparison.text(color=in_color(sys.stdout)))
    return comparison.exit_status


def _calibrate(options: argparse.Namespace) -> int:
    from cnnaudit.checks import known_checks, select
    from cnnaudit.checks.calibration import calibrate, write

    known = known_checks(options.modules)
    for id in select(options.patterns, known):
        result = calibrate(id, seeds=options.seeds, workers=options.workers)
        path = write(result, options.to or known[id].null_file.parent)
        rates = {name: result[name] for name in ("false_alarms", "power") if result[name]}
        print(f"{path}: " + ", ".join(f"{name} {rate['count']}/{rate['n']}" for name, rate in rates.items()))
    return 0
