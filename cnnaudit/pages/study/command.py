"""`cnnaudit study`: runs studies of the minimum models, and writes a table, a figure and a page for each."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnnaudit.pages.arguments import at_least, folder, jobs
from cnnaudit.pages.output import prepared, resumable
from cnnaudit.studies import STUDIES, study_named
from cnnaudit.studies.study import Study, conduct

HELP = "run studies of the smallest networks: a table, a figure and a page each"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit study`."""
    parser.add_argument(
        "names", nargs="+", choices=list(STUDIES), metavar="STUDY", help=f"studies to run: {', '.join(STUDIES)}"
    )
    parser.add_argument(
        "--output",
        type=folder,
        default="reports/studies",
        metavar="DIR",
        help="folder to write to (default: reports/studies)",
    )
    parser.add_argument("--jobs", type=jobs, default=-1, help="number of processes (default: one per core)")
    parser.add_argument(
        "--seeds", type=at_least(2), help="number of networks of each kind (default: each study's own number)"
    )
    parser.add_argument("--quick", action="store_true", help="use fewer networks and images: about a minute per study")


def run(options: argparse.Namespace) -> int:
    """Conduct studies one after the other, write their tables, figures and pages, and print what was found.

    Raises:
        AuditError: too few seeds for a study; a file that cannot be written.
        KeyboardInterrupt: interrupted; what has finished is kept, and the same command continues.
    """
    from cnnaudit.pages.study.page import write_study

    output: Path = prepared(options.output)
    chosen = [study_named(name) for name in options.names]
    efforts = [study.effort(options.quick, options.seeds) for study in chosen]  # refused before the first one runs
    for study, effort in zip(chosen, efforts):
        print(f"{study.title}: {effort}", flush=True)
        with resumable(lambda: f"what has finished is kept in {output}"):
            results = conduct(study, effort, output, options.jobs)
        paths = write_study(study, effort, results, output, command_line(study, options.seeds, options.quick))
        print("\n".join(f"  {sentence}" for sentence in study.findings(results.rows)))
        for path in (output / f"{study.name}.csv", *paths):
            print(f"wrote {path}", flush=True)
    return 0


def command_line(study: Study, seeds: int | None = None, quick: bool = False) -> str:
    """The command that makes a study again.

    Example:
        >>> command_line(study_named("noise"), 3, quick=True)
        'cnnaudit study noise --seeds 3 --quick'
    """
    return f"cnnaudit study {study.name}{'' if seeds is None else f' --seeds {seeds}'}{' --quick' * quick}"
