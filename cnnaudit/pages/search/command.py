"""`cnnaudit search`: the smallest network for each target's data, with its table, figure and page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnaudit.core.errors import ConfigError
from cnnaudit.pages.arguments import accuracy, folder, jobs, positive_float, positive_int
from cnnaudit.pages.output import prepared, resumable
from cnnaudit.pages.search.smallest import REFERENCES, Options, Outcome, search_target

if TYPE_CHECKING:
    from rich.table import Table

HELP = "find the smallest network that reaches an accuracy on a target's data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit search`."""
    default = Options()
    parser.add_argument(
        "configs",
        nargs="*",
        type=Path,
        metavar="AUDIT.TOML",
        help="targets (default, in a checkout: the four data sets of Table I)",
    )
    parser.add_argument(
        "--target-accuracy",
        type=accuracy,
        metavar="SHARE",
        help="validation accuracy to reach (default: the claimed one, else the model's own)",
    )
    parser.add_argument(
        "--seeds", type=positive_int, default=default.seeds, help="networks per architecture (default: %(default)s)"
    )
    parser.add_argument(
        "--epochs",
        type=positive_int,
        default=default.epochs,
        help="epochs that the best architectures are trained for (default: %(default)s)",
    )
    parser.add_argument(
        "--grid",
        default=default.grid,
        choices=["quick", "thesis", "wide"],
        help="architectures to try (default: %(default)s)",
    )
    parser.add_argument(
        "--budget",
        type=positive_float,
        metavar="SECONDS",
        help="stop the search of each target after this time and report what is known",
    )
    parser.add_argument(
        "--results", type=folder, default="reports", metavar="DIR", help="folder to write to (default: reports)"
    )
    parser.add_argument("--jobs", type=jobs, default=-1, help="number of processes (default: one per core)")
    parser.add_argument(
        "--size",
        type=positive_int,
        metavar="PIXELS",
        help="side to which images are resized (default: 32 where they are larger)",
    )
    parser.add_argument(
        "--images",
        type=positive_int,
        default=default.images,
        help="largest number of training images (default: %(default)s)",
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="continue from the results in the folder (default: yes)",
    )


def run(options: argparse.Namespace) -> int:
    """Search for each target, and print what was found.

    Raises:
        AuditError: as `search_target`; a file that cannot be written.
        KeyboardInterrupt: interrupted; what was trained is kept, and the same command continues.
    """
    from rich.console import Console
    from rich.markup import escape

    console = Console(width=None if sys.stdout.isatty() else 80, highlight=False)
    asked = Options(**{name: getattr(options, name) for name in Options.__dataclass_fields__})
    prepared(asked.results, "--results")
    outcomes = []
    for path in options.configs or references():
        with resumable(lambda: f"all networks trained so far are in {asked.results}"):
            outcomes.append(search_target(path, asked))
        console.print(f"[bold]{escape(outcomes[-1].target)}[/bold]: {escape(outcomes[-1].found.answer())}\n")
    console.print(overview(outcomes))
    for outcome in outcomes:
        console.print(f"wrote {escape(str(outcome.page))} (search.csv, search.png beside it)", soft_wrap=True)
    return 0


def references(folder: Path = Path("fixtures/targets")) -> list[Path]:
    """The four data sets of Table I, in a checkout.

    Raises:
        ConfigError: their files are not there.
    """
    paths = [folder / f"{name}.toml" for name in REFERENCES]
    if not all(path.is_file() for path in paths):
        raise ConfigError(f"no audit file given, and {folder} does not hold those of Table I; name an audit file")
    return paths


def overview(outcomes: Sequence[Outcome]) -> Table:
    """Table I, or the targets' own models, beside what was found."""
    from rich.table import Table

    shown = Table(box=None, padding=(0, 1), header_style="bold")
    shown.add_column("data")
    theirs = "Table I" if all(outcome.compared.name == "Table I" for outcome in outcomes) else "model"
    for title in (theirs, "train", "valid.", "ours", "train", "valid.", "seeds"):
        shown.add_column(title, justify="right", no_wrap=True)
    for outcome in outcomes:
        other, fresh = outcome.compared, outcome.found.smallest
        train = "" if other.train_accuracy is None else f"{other.train_accuracy:.3f}"
        ours = ["-", "", "", ""]
        if fresh is not None:
            best = fresh.best
            ours = [
                f"{fresh.parameters:,}",
                f"{best.train_accuracy:.3f}",
                f"{best.validation_accuracy:.3f}",
                f"{fresh.reached}/{len(fresh.rows)}",
            ]
        shown.add_row(outcome.target, f"{other.parameters:,}", train, f"{other.validation_accuracy:.3f}", *ours)
    return shown
