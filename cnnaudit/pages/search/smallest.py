"""The search of one target: its data, what it is compared with, and where it is written."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ConfigError
from cnnaudit.pages.output import prepared
from cnnaudit.report.paths import folder_name
from cnnaudit.studies.thesis import TABLE_I

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
    from cnnaudit.target.config import AuditFile
    from cnnaudit.training.executor import Draws
    from cnnaudit.training.summary import SearchResult

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


def search_target(path: Path, options: Options) -> Outcome:
    """Search for one target's data, and write `search.csv`, `search.png` and `search.html` into its folder.

    At most `options.images` training and twice as many validation images are used. The accuracy asked for is
    `options.target_accuracy`, else the one that the file claims, else the model's own. Where both splits come from
    callables with a free `seed`, the candidates are confirmed on further draws of the data.

    Raises:
        ConfigError: the file is not valid, or names no training images.
        DataError, ModelError: as `load_target` and `cnnaudit.training.search`.
    """
    from cnnaudit.checks.audit_file import load_target, read
    from cnnaudit.pages.search.page import write_page
    from cnnaudit.target.shrink import shrink
    from cnnaudit.training import named_grid, search

    file, target = read(path), load_target(path)
    if missing := {"train", "validation"} - set(target.splits):
        raise ConfigError(f"a search needs data.{' and data.'.join(sorted(missing))}", str(path))
    data, validation = _sampled(target, options.images)
    train, questions = ((shrink(images, options.size), labels.numpy()) for images, labels in (data, validation))
    compared = _compared(target, validation)
    folder = prepared(options.results / folder_name(target.name), "--results")
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
    from cnnaudit.target import LABELED
    from cnnaudit.target.data_sources import as_split
    from cnnaudit.target.imports import call, find

    folder = file.path.parent.resolve()
    sources = {name: source for name, source in file.splits.items() if name in LABELED}
    for name, source in sources.items():
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
            for name, source in sources.items()
        }
        drawn = replace(target, splits=splits, _cache={})
        (a, b), (c, d) = _sampled(drawn, images, k)
        return (a, b.numpy()), (c, d.numpy())

    return draw
