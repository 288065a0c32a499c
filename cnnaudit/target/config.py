"""The audit file of a target: read and checked as a whole, then loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import AuditError, ConfigError, DataError
from cnnaudit.core.expectations import Expectation
from cnnaudit.core.names import printable
from cnnaudit.core.selection import select
from cnnaudit.core.wording import nearest, one_line
from cnnaudit.target import AuditTarget, Claims, InputSpec, Split
from cnnaudit.target.config_keys import CHECK_KEYS, EXPECTED_KEYS, KEYS, read_table
from cnnaudit.target.config_text import parse, shown, shown_key
from cnnaudit.target.former_ids import NO_FORMER_IDS, FormerIds, rename
from cnnaudit.target.model_sources import CALLABLE, LIBRARIES, ModelSource
from cnnaudit.target.previous import PreviousModel, load_previous, read_previous, without_previous

KnownIds = Callable[[Sequence[str], Path], Collection[str]]

PLACEHOLDER = "TODO: say why this failure is accepted"
SPLITS = ("train", "validation")
TABLES = (*KEYS, "checks", "expected")


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where a split comes from: a folder, or a `module:callable` with its arguments."""

    source: str | Path
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditFile:
    """A valid audit file; nothing of the model or the data is loaded.

    Attributes:
        path: the file; paths and imports in it are relative to its folder.
        splits: `train` and `validation`, whichever the file names.
        classes: in the order of the logits; the sorted folder names where the file gives none.
        metadata: a CSV file, or None.
        check_modules: modules of somebody else's checks.
        ignore: patterns of check ids to leave out.
        overrides: per check id, `tolerance` and `gate` where the file sets them.
        previous: the model that this one replaces, or None.
    """

    path: Path
    model: ModelSource
    input: InputSpec
    splits: Mapping[str, DataSource]
    classes: tuple[str, ...]
    metadata: Path | None
    claims: Claims
    check_modules: tuple[str, ...]
    ignore: tuple[str, ...]
    overrides: Mapping[str, Mapping[str, Any]]
    expected: tuple[Expectation, ...]
    previous: PreviousModel | None = None

    @property
    def name(self) -> str:
        """The target's name."""
        return self.model.name


def read(path: str | Path, known_ids: KnownIds, former_ids: FormerIds = NO_FORMER_IDS) -> AuditFile:
    """The audit file, checked as a whole without loading the model, the images or torch.

    Args:
        known_ids: the ids that the file may name, for the modules of checks and the folder of the file.
        former_ids: ids of former checks, see `former_ids.rename`.

    Raises:
        ConfigError: the file is missing, is no TOML, or has keys or values that are not accepted; `problems`
            lists all of them.
    """
    path = Path(path)
    raw = parse(path)
    problems = [f"{shown_key(name)}: unknown table{nearest(name[:100], TABLES)}" for name in raw if name not in TABLES]
    given = {**raw, "model": without_previous(raw.get("model", {}))}
    tables = {name: read_table(name, given.get(name, {}), keys, problems) for name, keys in KEYS.items()}
    modules = _modules(raw.get("checks", {}), problems)
    try:
        known = known_ids(modules, path.parent.resolve())
    except AuditError as error:
        problems.append(str(error))
        known = known_ids((), path.parent.resolve())
    rename(raw, known, former_ids, path, problems)
    ignore, overrides = _checks(raw.get("checks", {}), known, problems)
    expected = _expected(raw.get("expected", []), known, problems)
    previous = read_previous(raw.get("model", {}), problems)
    _resolve_files(tables, previous, path.parent, problems)
    _fit_input(tables["input"], problems)
    for where, model in _models(tables["model"], previous):
        _fit_model(where, model, problems)
    _fit_data(tables["data"], raw["data"] if isinstance(raw.get("data"), dict) else (), problems)
    data = tables["data"]
    older = None if previous is None else PreviousModel.of(previous, tables["input"], data, problems)
    if tables["claims"]["negative_flips"] is not None and previous is None:
        problems.append("claims.negative_flips: needs the model to compare with, set [model.previous]")
    if problems:
        raise ConfigError(problems, printable(str(path)))
    return AuditFile(
        path=path,
        model=ModelSource(**tables["model"], class_indices=data["class_indices"]),
        input=InputSpec(**tables["input"]),
        splits={split: DataSource(*data[split]) for split in SPLITS if data[split]},
        classes=data["classes"],
        metadata=data["metadata"],
        claims=Claims(**tables["claims"]),
        check_modules=modules,
        ignore=ignore,
        overrides=overrides,
        expected=expected,
        previous=older,
    )


def load_target(path: str | Path, known_ids: KnownIds, former_ids: FormerIds = NO_FORMER_IDS) -> AuditTarget:
    """The target of an audit file: its model, asked for a first answer, and its data, read lazily.

    Raises:
        ConfigError: the file is not valid.
        ModelError: the model cannot be loaded, or does not answer the file's logits for the file's images.
        DataError: the data cannot be read or do not fit the classes.
    """
    file = read(path, known_ids, former_ids)
    try:
        return _load(file)
    except AuditError as error:
        raise type(error)(f"{file.path}: {error}") from error


def _load(file: AuditFile) -> AuditTarget:
    from cnnaudit.target.data_sources import as_split
    from cnnaudit.target.imports import call
    from cnnaudit.target.model_sources import load
    from cnnaudit.target.probe import probe, two_images

    folder = file.path.parent.resolve()
    splits: dict[str, Split] = {}
    for name, data in file.splits.items():
        value = data.source
        if isinstance(value, str):
            value = call(value, data.arguments, folder, f"data.{name}", DataError)
        splits[name] = as_split(name, value, file.classes, file.input, file.metadata, folder)
    loaded = load(file.model, file.input, folder)
    images = two_images(file.input, splits).to(loaded.device)
    probe(loaded.model, images, file.model, file.input, file.classes)
    target = AuditTarget(
        name=file.name,
        model=loaded.model,
        classes=file.classes,
        input=file.input,
        splits=splits,
        claims=file.claims,
        device=loaded.device,
        batch_size=file.model.batch_size,
        inside=not loaded.inside_reason,
        inside_reason=loaded.inside_reason,
        check_modules=file.check_modules,
        ignore=file.ignore,
        overrides=file.overrides,
        expected=file.expected,
        source=str(file.path),
    )
    return target if file.previous is None else load_previous(target, file.previous, images, folder)


def _modules(raw: Any, problems: list[str]) -> tuple[str, ...]:
    """The names of `checks.modules`."""
    modules = raw.get("modules", []) if isinstance(raw, dict) else []
    named = isinstance(modules, list) and all(isinstance(name, str) for name in modules)
    if not named or not all(part.isidentifier() for name in modules for part in name.split(".")):
        problems.append(f"checks.modules = {shown(modules)}: expected a list of modules such as 'clinic.checks'")
        return ()
    return tuple(modules)


def _checks(raw: Any, known: Collection[str], problems: list[str]) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]]:
    """The patterns of `checks.ignore` and the settings of `[checks."id"]`."""
    if not isinstance(raw, dict):
        problems.append(f"checks = {shown(raw)}: expected a table with modules, ignore and a table per check id")
        return (), {}
    ignore, overrides = raw.get("ignore", []), {}
    if not (isinstance(ignore, list) and all(isinstance(pattern, str) for pattern in ignore)):
        problems.append(f"checks.ignore = {shown(ignore)}: expected a list of patterns such as 'padding.*'")
        ignore = []
    for pattern in ignore:
        try:
            select([pattern], known)
        except ConfigError as error:
            problems.append(f"checks.ignore: {error}")
    for id, settings in raw.items():
        if id in ("ignore", "modules"):
            continue
        if id in known:
            values = read_table(f'checks."{id}"', settings, CHECK_KEYS, problems)
            overrides[id] = {name: value for name, value in values.items() if value is not None}
        elif isinstance(settings, dict) and (near := [name for name in settings if f"{id}.{name}" in known]):
            problems.append(f'checks.{id}: a check id needs quotes, [checks."{id}.{near[0]}"]')
        else:
            problems.append(f'checks."{printable(id)[:200]}": no such check{nearest(id[:100], known)}')
    return tuple(ignore), overrides


def _expected(raw: Any, known: Collection[str], problems: list[str]) -> tuple[Expectation, ...]:
    """The entries of `[[expected]]`."""
    if not isinstance(raw, list):
        problems.append(f"expected = {shown(raw)}: expected tables [[expected]] with {', '.join(EXPECTED_KEYS)}")
        return ()
    entries = []
    for number, table in enumerate(raw, start=1):
        where = f"expected, entry {number}"
        values = read_table(where, table, EXPECTED_KEYS, problems)
        check, reason = values["check"], values["reason"]
        if check is not None and check.partition("[")[0] not in known:
            problems.append(f"{where}.check = {shown(check)}: no such check{nearest(check[:100], known)}")
        if reason is not None and reason.lstrip().upper().startswith("TODO"):
            of = printable(str(check))[:200]
            problems.append(
                f"{where}.reason ({of}): still asks for its reason, {shown(reason)}; say why it is accepted"
            )
        if check is not None and reason is not None:
            entries.append(Expectation(**values))
    return tuple(entries)


def _models(model: dict[str, Any], previous: dict[str, Any] | None) -> list[tuple[str, dict[str, Any]]]:
    """The tables that name a model."""
    return [("model", model)] + ([("model.previous", previous)] if previous is not None else [])


def _resolve_files(
    tables: dict[str, dict[str, Any]], previous: dict[str, Any] | None, folder: Path, problems: list[str]
) -> None:
    """Turn the paths in the tables into absolute ones; what does not exist is a problem."""

    def resolve(key: str, value: str, what: str) -> Path:
        try:
            path = (folder / value).resolve()
            if not (path.is_dir() if what == "folder" else path.is_file()):
                problems.append(f"{key} = {shown(value)}: no such {what} ({printable(str(path))[:500]})")
        except (OSError, ValueError, RuntimeError) as error:  # too long, NUL, links in a circle, an unreadable parent
            path = folder
            problems.append(f"{key} = {shown(value)}: no {what} that can be read ({one_line(error)})")
        return path

    data = tables["data"]
    for where, model in _models(tables["model"], previous):
        if model["weights"]:
            model["weights"] = resolve(f"{where}.weights", model["weights"], "file")
        if model["source"] and not model["source"].startswith(LIBRARIES) and not CALLABLE.fullmatch(model["source"]):
            model["source"] = resolve(f"{where}.source", model["source"], "file")
    if data["metadata"]:
        data["metadata"] = resolve("data.metadata", data["metadata"], "file")
    for split in SPLITS:
        if data[split] and not CALLABLE.fullmatch(data[split][0]):
            data[split] = (resolve(f"data.{split}", data[split][0], "folder"), data[split][1])


def _fit_input(image: dict[str, Any], problems: list[str]) -> None:
    """Whether the values of [input] fit each other."""
    for key in ("mean", "std"):
        if len(image[key]) not in (1, image["channels"]):
            problems.append(
                f"input.{key} = {list(image[key])}: expected one number, or {image['channels']}, one per channel"
            )
    if image["order"] == "BGR" and image["channels"] == 1:
        problems.append("input.order = 'BGR': an image of one channel has no order; leave it out")
    if image["resize"] and image["size"] and image["resize"] < min(image["size"]):
        problems.append(
            f"input.resize = {image['resize']}: a crop of input.size = {list(image['size'])} does not fit into it"
        )


def _fit_model(where: str, model: dict[str, Any], problems: list[str]) -> None:
    """Whether the values of a model's table fit each other."""
    if isinstance(model["source"], Path):
        for key in ("arguments", "weights", "weights_key"):
            if model[key]:
                problems.append(f"{where}.{key}: {model['source'].name} holds its own; leave them out")


def _fit_data(data: dict[str, Any], given: Collection[str], problems: list[str]) -> None:
    """Whether the values of [data] fit each other; classes that are not given are the folder names."""
    from cnnaudit.target.folders import class_folders

    if not set(SPLITS) & set(given):
        problems.append(f"data.validation: missing, and so is data.train; expected {KEYS['data']['train'].accepted}")
    sources = [data[split][0] for split in SPLITS if data[split]]
    if sources and "classes" not in given:
        folder = next((source for source in sources if isinstance(source, Path) and os.path.isdir(source)), None)
        try:
            data["classes"] = class_folders(folder) if folder else ()
        except DataError as error:
            problems.append(f"data.classes: missing, and the folders cannot name them: {error}")
            return
        if len(data["classes"]) < 2:
            found = f"; {folder} has fewer than two folders to name them" if folder else ""
            problems.append(f"data.classes: missing; expected {KEYS['data']['classes'].accepted}{found}")
    indices, classes = data["class_indices"], data["classes"]
    if indices and classes and len(indices) != len(classes):
        problems.append(
            f"data.class_indices: expected one number for each of {len(classes)} classes, got {len(indices)}"
        )
