"""`cnnaudit kernels`: a report on the kernels of a target's convolutions, and a page for each of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnnaudit.pages.arguments import accuracy, at_least, folder, jobs, part, positive_float, positive_int, seed
from cnnaudit.pages.output import prepared, resumable
from cnnaudit.report.paths import folder_name

HELP = "report on kernels: kinds and groups of units, ring, Mapper graphs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit kernels`."""
    parser.add_argument("config", type=Path, metavar="AUDIT.TOML", help="audit file of the model and its images")
    parser.add_argument(
        "--layers",
        nargs="+",
        default=(),
        metavar="NAME",
        help="convolutions to report on (default: all with kernels of two or more rows and columns)",
    )
    parser.add_argument(
        "--images",
        type=at_least(2),
        default=48,
        help="number of images used to detect dead and color-blind units (default: 48)",
    )
    parser.add_argument(
        "--clusters",
        type=positive_int,
        metavar="K",
        help="groups that the units are put into (default: as many as the data support, else by the dendrogram)",
    )
    parser.add_argument("--bins", type=positive_int, default=5, help="bins of each lens of Mapper (default: 5)")
    parser.add_argument("--overlap", type=part, default=0.1, help="overlap of neighboring bins (default: 0.1)")
    parser.add_argument(
        "--eps", type=positive_float, default=0.5, help="DBSCAN's reach, for kernels of norm 1 (default: 0.5)"
    )
    parser.add_argument(
        "--min-samples", type=positive_int, default=3, help="kernels within reach of a core one (default: 3)"
    )
    parser.add_argument(
        "--crop", type=accuracy, default=0.3, metavar="SHARE", help="share of the kernels, the densest (default: 0.3)"
    )
    parser.add_argument(
        "--mapper",
        choices=["cnnaudit", "kmapper"],
        default="cnnaudit",
        help="what draws the graph; both draw the same (default: cnnaudit)",
    )
    parser.add_argument("--jobs", type=jobs, default=-1, help="number of processes (default: one per core)")
    parser.add_argument("--seed", type=seed, default=0, help="seed of every random choice (default: 0)")
    parser.add_argument(
        "--output", type=folder, default="reports", metavar="DIR", help="folder to write to (default: reports)"
    )


def run(options: argparse.Namespace) -> int:
    """Write the report of a target, and print where.

    Raises:
        AuditError: a wrong audit file, a layer that the model does not have, no convolution, a missing library, a file
            that cannot be written.
        KeyboardInterrupt: interrupted; finished parts are kept, and the same command continues.
    """
    from cnnaudit.checks.audit_file import load_target
    from cnnaudit.pages.kernels.report import Options, write_kernels
    from cnnaudit.report.words import plural

    target = load_target(options.config)
    work = prepared(options.output) / folder_name(target.name) / "kernels" / "work"
    asked = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    with resumable(lambda: f"{plural(len(list(work.glob('*.json'))), 'finished part')} in {work}"):
        paths = write_kernels(target, Options(**{**asked, "layers": tuple(options.layers)}))
    print(f"wrote {paths[0]} and {plural(len(paths) - 1, 'page')} of layers beside it")
    return 0
