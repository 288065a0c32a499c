"""The command line: `python -m cnnaudit COMMAND`; `--help` lists the commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cnnaudit.core.errors import AuditError, ConfigError
from cnnaudit.studies import STUDIES

PROG = "python -m cnnaudit"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 fine, 1 an audit or comparison failed, 2 or 4 wrong use.

    Example:
        >>> main(["checks", "--ids"])  # doctest: +ELLIPSIS
        dataset.constant_class...
    """
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.command != "audit":
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        status: int = options.run(options)
    except ConfigError as error:
        print(f"{PROG} {options.command}: {error}", file=sys.stderr)
        return 4
    except AuditError as error:
        print(f"{PROG} {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{PROG} {options.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has gone
        sys.stderr.close()
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROG, description="Did my image classifier learn the right thing?")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    init = commands.add_parser("init", help="write a commented audit.toml (and a CI workflow) for a model and a folder")
    init.add_argument(
        "--model", required=True, metavar="SOURCE", help="module:callable, torchvision:NAME, timm:NAME or a file"
    )
    init.add_argument("--weights", metavar="FILE", help=".safetensors, or .pt read with weights_only")
    init.add_argument("--train", metavar="DATA", help="a folder per class, or module:callable")
    init.add_argument("--validation", metavar="DATA", help="a folder per class, or module:callable")
    init.add_argument("--output", type=Path, default=Path("audit.toml"), metavar="FILE")
    init.add_argument("--ci", choices=["github"], help="also write a workflow of that service")
    init.set_defaults(run=_init)

    checks = commands.add_parser("checks", help="list the catalogue, or explain some checks")
    checks.add_argument("patterns", nargs="*", metavar="ID", help="ids or patterns such as 'padding.*'")
    checks.add_argument("--ids", action="store_true", help="print ids only")
    checks.set_defaults(run=_checks)

    audit = commands.add_parser("audit", help="audit targets; what is not known here goes to pytest (-k, -n 2, -x …)")
    audit.add_argument(
        "configs", nargs="*", type=Path, metavar="AUDIT.TOML", help="none, in a checkout: the reference targets"
    )
    audit.add_argument(
        "--report", default="reports", metavar="DIR", help="where reports are written (default: reports)"
    )
    audit.add_argument("--profile", default="quick", choices=["quick", "standard", "deep"])
    audit.add_argument("--seed", type=int, default=0)
    audit.add_argument("--strict", action="store_true", help="inconclusive findings fail the run")
    audit.set_defaults(run=_audit)

    accept = commands.add_parser("accept", help="write the failures of the last report into the audit file as expected")
    accept.add_argument("config", type=Path, metavar="AUDIT.TOML")
    accept.add_argument(
        "--report", type=Path, default=Path("reports"), metavar="DIR", help="where the last run wrote its reports"
    )
    accept.add_argument("--reason", help="the reason of all new entries; without it each entry asks for its own")
    accept.set_defaults(run=_accept)

    report = commands.add_parser("report", help="print a report.json and write its Markdown, HTML and SARIF again")
    report.add_argument("path", type=Path, metavar="REPORT", help="report.json or its folder")
    report.add_argument("--output", type=Path, metavar="DIR", help="default: the report's own folder")
    report.set_defaults(run=_report)

    compare = commands.add_parser("compare", help="what changed from an older report to a newer; status 1 if worse")
    compare.add_argument("older", type=Path, metavar="A.json")
    compare.add_argument("newer", type=Path, metavar="B.json")
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.set_defaults(run=_compare)

    search = commands.add_parser("search", help="find the smallest network that reaches an accuracy on a target's data")
    search.add_argument(
        "configs", nargs="*", type=Path, metavar="AUDIT.TOML", help="none, in a checkout: the four data sets of Table I"
    )
    search.add_argument("--target-accuracy", type=float, help="default: what the file claims, else the model's own")
    search.add_argument("--seeds", type=int, default=5, help="networks per architecture (default: 5)")
    search.add_argument("--epochs", type=int, default=200, help="that the last rung gives (default: 200)")
    search.add_argument("--grid", default="quick", choices=["quick", "thesis", "wide"])
    search.add_argument("--budget", type=float, metavar="SECONDS", help="per target; then tell what is known")
    search.add_argument("--results", type=Path, default=Path("reports"), metavar="DIR")
    search.add_argument("--jobs", type=int, default=-1, help="processes of one thread each (default: one per core)")
    search.add_argument("--size", type=int, help="resize images to that side (default: 32 where they are larger)")
    search.add_argument("--images", type=int, default=3_000, help="training images at most (default: 3000)")
    search.add_argument(
        "--resume", action=argparse.BooleanOptionalAction, default=True, help="go on from the results that are there"
    )
    search.set_defaults(run=_search)

    look = commands.add_parser("look", help="one page of what a model makes of an image, layer by layer")
    look.add_argument("image", metavar="IMAGE", help="an image file, or validation[17] for one of the target's own")
    look.add_argument("--audit-config", type=Path, metavar="AUDIT.TOML", help="the model that it is shown to")
    look.add_argument("--output", type=Path, metavar="FILE", help="default: reports/TARGET/look-IMAGE.html")
    look.add_argument(
        "--layers", nargs="+", default=(), metavar="LAYER", help="as in named_modules(), or block1/relu:2"
    )
    look.add_argument("--class", dest="class_name", metavar="NAME", help="what to explain (default: the prediction)")
    look.add_argument("--report", type=Path, default=Path("reports"), metavar="DIR", help="where audits are reported")
    look.add_argument(
        "--fidelity",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure which methods can be trusted where no report tells (default: yes)",
    )
    look.add_argument("--seed", type=int, default=0)
    look.set_defaults(run=_look)

    atlas = commands.add_parser("atlas", help="a page per layer of what drives each of its units, made and found")
    atlas.add_argument("config", nargs="?", type=Path, metavar="AUDIT.TOML", help="the model and its images")
    atlas.add_argument(
        "--layers",
        nargs="+",
        default=(),
        metavar="NAME",
        help="as in named_modules(), or block1/relu:2; none: list them",
    )
    atlas.add_argument("--units", default="all", metavar="N", help="all, how many, or numbers such as 3,17,90")
    atlas.add_argument(
        "--goal", default="unit", choices=["unit", "channel"], help="drive the middle of a unit's map, or its mean"
    )
    atlas.add_argument("--steps", type=int, help="default: the recipe's")
    atlas.add_argument("--size", type=int, metavar="PIXELS", help="of the images (default: the model's, at most 128)")
    atlas.add_argument("--recipe", default="default", metavar="NAME", help="of cnnaudit.optimization.RECIPES")
    atlas.add_argument("--batch-size", type=int, help="units optimized together (default: 8, on a GPU 512)")
    atlas.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    atlas.add_argument("--jobs", type=int, default=1, help="processes; -1: one per core (default: 1)")
    atlas.add_argument("--seed", type=int, default=0)
    atlas.add_argument("--output", type=Path, default=Path("reports"), metavar="DIR")
    atlas.add_argument(
        "--checkpoints", nargs="+", type=Path, default=(), metavar="FILE", help="weights of a training, first to last"
    )
    atlas.set_defaults(run=_atlas)

    kernels = commands.add_parser("kernels", help="a report on kernels: kinds and groups of units, ring, Mapper graphs")
    kernels.add_argument("config", type=Path, metavar="AUDIT.TOML", help="the model and its images")
    kernels.add_argument(
        "--layers",
        nargs="+",
        default=(),
        metavar="NAME",
        help="convolutions (default: those of two rows and columns or more)",
    )
    kernels.add_argument("--images", type=int, default=48, help="that dead and color-blind units are sought on")
    kernels.add_argument("--jobs", type=int, default=-1, help="processes of one thread each (default: one per core)")
    kernels.add_argument("--seed", type=int, default=0)
    kernels.add_argument("--output", type=Path, default=Path("reports"), metavar="DIR")
    kernels.set_defaults(run=_kernels)

    study = commands.add_parser("study", help="the studies of the minimum models: a table, a figure and a page each")
    study.add_argument("names", nargs="+", choices=list(STUDIES), metavar="STUDY", help=", ".join(STUDIES))
    study.add_argument("--output", type=Path, default=Path("reports/studies"), metavar="DIR")
    study.add_argument("--jobs", type=int, default=-1, help="processes of one thread each (default: one per core)")
    study.add_argument("--seeds", type=int, help="networks of each kind (default: each study's own number)")
    study.add_argument("--quick", action="store_true", help="a first look in about a minute each")
    study.set_defaults(run=_study)

    read = commands.add_parser("read", help="a page that reads a small model: its features, its filter, its data")
    read.add_argument(
        "configs", nargs="*", type=Path, metavar="AUDIT.TOML", help="none, in a checkout: the reference targets"
    )
    read.add_argument("--layer", metavar="NAME", help="whose output to read (default: what the classifier reads)")
    read.add_argument("--output", type=Path, default=Path("reports"), metavar="DIR")
    read.set_defaults(run=_read)

    calibrate = commands.add_parser("calibrate", help="measure the null distribution, false alarms and power of checks")
    calibrate.add_argument("patterns", nargs="*", default=["*"], metavar="ID")
    calibrate.add_argument("--to", type=Path, metavar="DIR", help="write there (default: null/ beside each check)")
    calibrate.add_argument("--seeds", type=int, help="seeds per population (default: each population's own)")
    calibrate.add_argument("--workers", type=int, default=2)
    calibrate.set_defaults(run=_calibrate)
    return parser


def _init(options: argparse.Namespace) -> int:
    from cnnaudit.scaffold import scaffold

    for path in scaffold(
        options.model,
        options.output,
        weights=options.weights,
        train=options.train,
        validation=options.validation,
        ci=options.ci,
    ):
        print(f"wrote {path}")
    print(f"Read it through, then: {PROG} audit {options.output}")
    return 0


def _checks(options: argparse.Namespace) -> int:
    from cnnaudit.checks import known_checks, select
    from cnnaudit.report.catalogue import catalogue_text, check_text

    known = known_checks()
    chosen = select(options.patterns or ["*"], known)
    if options.ids:
        print("\n".join(chosen))
    elif options.patterns:
        print("\n\n".join(check_text(known[id]) for id in chosen))
    else:
        print(catalogue_text([known[id] for id in chosen]))
    return 0


def _audit(options: argparse.Namespace) -> int:
    import pytest

    # The audit's own summary says it all; this package is imported before pytest could rewrite its assertions.
    quiet = ["--tb=no", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    arguments = ["--pyargs", "cnnaudit.suites", *quiet, "--audit-report", options.report]
    arguments += ["--audit-profile", options.profile, "--audit-seed", str(options.seed)]
    arguments += [f"--audit-config={config}" for config in options.configs]
    if options.strict:
        arguments.append("--audit-strict")
    return int(pytest.main([*arguments, *options.rest]))


def _accept(options: argparse.Namespace) -> int:
    from cnnaudit.report.accept import accept

    added = accept(options.config, options.report, options.reason)
    if not added:
        print(f"{options.config}: nothing to accept, the last report has no unexpected failure")
    for check in added:
        print(f"{options.config}: expects {check}")
    if added and not options.reason:
        print("Now give every new entry its reason; the audit refuses entries that still ask for one.")
    return 0


def _report(options: argparse.Namespace) -> int:
    from cnnaudit.report import load_report, terminal_summary, write_report

    report = load_report(options.path)
    folder = options.output or (options.path if options.path.is_dir() else options.path.parent)
    print(terminal_summary([report], color=sys.stdout.isatty()))
    for path in write_report(report, folder).values():
        print(f"wrote {path}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    import json

    from cnnaudit.report import compare, load_report

    comparison = compare(load_report(options.older), load_report(options.newer))
    if options.json:
        print(json.dumps(comparison.to_json(), indent=2))
    else:
        print(comparison.text(color=sys.stdout.isatty()))
    return comparison.exit_status


def _search(options: argparse.Namespace) -> int:
    from cnnaudit.pages.search.page import Options, command

    asked = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    return command(options.configs, Options(**asked))


def _look(options: argparse.Namespace) -> int:
    from cnnaudit.pages.look.page import Options, command

    asked = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    return command(options.image, options.audit_config, Options(**{**asked, "layers": tuple(options.layers)}))


def _atlas(options: argparse.Namespace) -> int:
    from cnnaudit.pages.atlas.command import Options, command

    asked = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    lists = {name: tuple(asked[name]) for name in ("layers", "checkpoints")}
    return command(options.config, Options(**{**asked, **lists}))


def _kernels(options: argparse.Namespace) -> int:
    from cnnaudit.pages.kernels.command import Options, command

    asked = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    return command(options.config, Options(**{**asked, "layers": tuple(options.layers)}))


def _study(options: argparse.Namespace) -> int:
    from cnnaudit.pages.study.page import Options, command

    asked = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    return command(options.names, Options(**asked))


def _read(options: argparse.Namespace) -> int:
    from cnnaudit.pages.read.page import command

    return command(options.configs, options.output, options.layer)


def _calibrate(options: argparse.Namespace) -> int:
    from cnnaudit.checks import catalogue, select
    from cnnaudit.checks.calibration import calibrate, write

    for id in select(options.patterns, catalogue()):
        result = calibrate(id, seeds=options.seeds, workers=options.workers)
        path = write(result, options.output)
        rates = {name: result[name] for name in ("false_alarms", "power") if result[name]}
        print(f"{path}: " + ", ".join(f"{name} {rate['count']}/{rate['n']}" for name, rate in rates.items()))
    return 0
