"""`python -m cnnaudit search`: the smallest network for each target's data, its table, figure and page."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ConfigError
from cnnaudit.core.evidence import Evidence, table
from cnnaudit.pages.document import Drawing, Section, write_document
from cnnaudit.pages.search.figures import frontier, paint, png
from cnnaudit.report.paths import folder_name
from cnnaudit.studies.thesis import TABLE_I

if TYPE_CHECKING:
    from rich.table import Table

    from cnnaudit.target import AuditTarget
    from cnnaudit.target.config import AuditFile
    from cnnaudit.training.executor import Draws
    from cnnaudit.training.summary import SearchResult, Summary

#: The reference targets of Table I of España (2021), with the name of their data set there.
REFERENCES: Mapping[str, str] = {
    "shapes-1.3-scaling": "1.3",
    "shapes-2.1-rotation": "2.1",
    "shapes-3.0-scaling-noise": "3.0",
    "shapes-4.0-rotation-noise": "4.0",
}


@dataclass(frozen=True)
class Options:
    """What `search` is asked for; the names are those of the command's options."""

    target_accuracy: float | None = None
    seeds: int = 5
    epochs: int = 200
    grid: str = "quick"
    budget: float | None = None
    results: Path = Path("reports")
    jobs: int = -1
    size: int | None = None
    images: int = 3_000
    resume: bool = True


@dataclass(frozen=True)
class Compared:
    """What the search is compared with: Table I, or the target's own model."""

    name: str
    parameters: int
    train_accuracy: float | None
    validation_accuracy: float


@dataclass(frozen=True)
class Outcome:
    """One target's search and where it was written."""

    target: str
    found: SearchResult
    compared: Compared
    page: Path


def defaults(folder: Path = Path("fixtures/targets")) -> list[Path]:
    """The four data sets of Table I, in a checkout.

    Raises:
        ConfigError: their files are not there.
    """
    paths = [folder / f"{name}.toml" for name in REFERENCES]
    if not all(path.is_file() for path in paths):
        raise ConfigError(f"no audit file given, and {folder} does not hold those of Table I; name an audit file")
    return paths


def command(configs: Sequence[Path], options: Options) -> int:
    """Search for each target, print what was found, and say how to go on when interrupted; gives the exit status."""
    import sys

    from rich.console import Console
    from rich.markup import escape

    console = Console(width=None if sys.stdout.isatty() else 80, highlight=False)
    outcomes = []
    try:
        for path in configs or defaults():
            outcomes.append(search_target(path, options))
            console.print(f"[bold]{outcomes[-1].target}[/bold]: {escape(outcomes[-1].found.answer())}\n")
    except KeyboardInterrupt:
        print(
            f"interrupted: all that was trained is in {options.results}; the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    console.print(overview(outcomes))
    for outcome in outcomes:
        console.print(f"wrote {outcome.page} (search.csv, search.png beside it)", soft_wrap=True)
    return 0


def search_target(path: Path, options: Options) -> Outcome:
    """Search for one target's data, and write `search.csv`, `search.png` and `search.html` into its folder.

    At most `options.images` training and twice as many validation images are used. The accuracy asked for is
    `options.target_accuracy`, else the one that the file claims, else the model's own. Where both splits come from
    callables with a free `seed`, the candidates are confirmed on further draws of the data.

    Raises:
        ConfigError: the file is not valid, or names no training images.
        DataError, ModelError: as `load_target` and `cnnaudit.training.search`.
    """
    from cnnaudit.target.config import load_target, read
    from cnnaudit.target.shrink import shrink
    from cnnaudit.training import named_grid, search

    file, target = read(path), load_target(path)
    if missing := {"train", "validation"} - set(target.splits):
        raise ConfigError(f"a search needs data.{' and data.'.join(sorted(missing))}", str(path))
    data, validation = _sampled(target, options.images)
    train, questions = ((shrink(images, options.size), labels.numpy()) for images, labels in (data, validation))
    compared = _compared(target, validation)
    folder = options.results / folder_name(target.name)
    csv = folder / "search.csv"
    if not options.resume:
        csv.unlink(missing_ok=True)
    asked = options.target_accuracy or target.claims.accuracy or compared.validation_accuracy
    found = search(
        named_grid(options.grid, train[0].shape[2], train[0].shape[1], len(target.classes)),
        train,
        validation=questions,
        target_accuracy=asked,
        seeds=options.seeds,
        epochs=options.epochs,
        results=csv,
        budget_seconds=options.budget,
        jobs=options.jobs,
        draws=_draws(file, target, options.images),
        size=options.size,
    )
    return Outcome(target.name, found, compared, write_page(folder, target.name, found, compared))


def write_page(folder: Path, name: str, found: SearchResult, compared: Compared) -> Path:
    """Write the figure and the page of a search into a folder; gives the page."""
    point = compared.parameters, compared.validation_accuracy
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "search.png").write_bytes(png(found, point, compared.name))
    drawing = Drawing(
        "Accuracy against parameters",
        lambda: paint(found, point, published_name=compared.name),
        "Each dot is a network from one seed; pale ones belong to architectures that a smaller one matched, or that "
        "were given up after fewer epochs.",
        wide=True,
    )
    how = [
        "A network is chosen among its seeds by training accuracy; validation accuracy is only reported, and asked yes "
        "or no about the candidates. The networks of the candidate named here were trained after it was chosen, from "
        "seeds (and where the data can be drawn anew, on data) that played no part in choosing it.",
        "The number is an upper bound: a better training or another architecture may need fewer. 'None smaller does' "
        "holds for the architectures tried, with the epochs and seeds that the table gives.",
    ]
    sections = [
        Section("The bound", found.sentences(), [drawing]),
        Section("The best architectures by size", [], [_front_table(found)] if found.summaries else []),
        Section("Fresh seeds", [], [_fresh_table(found)] if found.confirmations else []),
        Section("How to read this", how),
    ]
    lead = found.sentences()[0]
    return write_document(
        folder / "search.html", name, lead, [s for s in sections if s.parts or s.text], "minimum model"
    )


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


def _sampled(target: AuditTarget, images: int, seed: int = 0) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    return target.sample("train", images, seed), target.sample("validation", 2 * images, seed)


def _compared(target: AuditTarget, validation: tuple[Any, Any]) -> Compared:
    """Table I where the target is one of its data sets, else the target's own model on those validation images."""
    if target.name in REFERENCES:
        found = TABLE_I[REFERENCES[target.name]]
        return Compared("Table I", found.parameters, found.train_accuracy, found.validation_accuracy)
    logits = target.logits(validation[0], "asking the model")
    accuracy = float((logits.argmax(1) == validation[1]).double().mean())
    return Compared("this model", sum(p.numel() for p in target.model.parameters()), None, accuracy)


def _draws(file: AuditFile, target: AuditTarget, images: int) -> Draws | None:
    """Further draws of the data, where both splits come from callables with a `seed` that the file leaves free."""
    from cnnaudit.target.data_sources import as_split
    from cnnaudit.target.imports import call, find

    folder = file.path.parent.resolve()
    for name, source in file.splits.items():
        if not isinstance(source.source, str) or "seed" in source.arguments:
            return None
        if "seed" not in inspect.signature(find(source.source, folder, f"data.{name}")).parameters:
            return None

    def draw(k: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        splits = {
            name: as_split(
                name,
                call(str(source.source), {**source.arguments, "seed": k}, folder, f"data.{name}"),
                file.classes,
                file.input,
            )
            for name, source in file.splits.items()
        }
        drawn = replace(target, splits=splits, _cache={})
        (a, b), (c, d) = _sampled(drawn, images, k)
        return (a, b.numpy()), (c, d.numpy())

    return draw


def _front_table(found: SearchResult) -> Evidence:
    rows = [
        [
            summary.parameters,
            str(summary.architecture),
            summary.given,
            _counted(summary),
            f"{summary.best.train_accuracy:.3f} / {summary.best.validation_accuracy:.3f}",
            " / ".join(f"{value:.3f}" for value in summary.quartiles),
        ]
        for summary in frontier(found)
    ]
    names = (
        "size",
        "network",
        "epochs",
        "seeds that reach it",
        "best: training / validation",
        "quartiles",
    )
    title = (
        "Architectures better than every smaller one, size in parameters; the best seed is chosen by training accuracy"
    )
    return table(title, names, rows)


def _fresh_table(found: SearchResult) -> Evidence:
    rows = [
        [
            summary.parameters,
            str(summary.architecture),
            group.rows[0].draw or "as given",
            _counted(group),
            f"{group.best.train_accuracy:.3f} / {group.best.validation_accuracy:.3f}",
            " / ".join(f"{value:.3f}" for value in group.quartiles),
        ]
        for summary in found.confirmations
        for group in summary.groups
    ]
    names = ("size", "network", "draw of the data", "seeds that reach it", "best: training / validation", "quartiles")
    return table("Each line: one draw of the data, the best of its seeds by training accuracy", names, rows)


def _counted(summary: Summary) -> str:
    """How many seeds reach the accuracy, and how many died."""
    dead = f" ({summary.dead} dead)" if summary.dead else ""
    return f"{summary.reached} of {len(summary.rows)}{dead}"
