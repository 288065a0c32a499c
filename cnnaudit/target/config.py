"""The audit file of a target: read and checked as a whole, then loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import AuditError, ConfigError
from cnnaudit.core.expectations import Expectation
from cnnaudit.core.names import printable
from cnnaudit.core.selection import select
from cnnaudit.core.wording import nearest
from cnnaudit.target import AuditTarget, Claims, InputSpec
from cnnaudit.target.config_fit import SPLITS, fit_data, fit_input, fit_model, fit_outputs, resolve_files, take_stated
from cnnaudit.target.config_keys import CHECK_KEYS, EXPECTED_KEYS, KEYS, read_table
from cnnaudit.target.config_text import parse, shown, shown_key
from cnnaudit.target.former_ids import NO_FORMER_IDS, FormerIds, rename
from cnnaudit.target.model_sources import ModelSource
from cnnaudit.target.previous import PreviousModel, load_previous, read_previous, without_previous
from cnnaudit.target.reading import Reading

KnownIds = Callable[[Sequence[str], Path], Collection[str]]

PLACEHOLDER = "TODO: say why this failure is accepted"
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
        splits: `train`, `validation` and `production`, whichever the file names.
        classes: in the order of the logits; the sorted folder names where the file gives none.
        metadata: a CSV file, or None.
        reading: how the files of the splits are read.
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
    reading: Reading
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
    plain = {**raw, "model": without_previous(raw.get("model", {}))}
    tables = {name: read_table(name, plain.get(name, {}), keys, problems) for name, keys in KEYS.items()}
    modules = _modules(raw.get("checks", {}), problems)
    try:
        known = known_ids(modules, path.parent.resolve())
    except AuditError as error:
        problems.append(str(error))
        known = known_ids((), path.parent.resolve())
    rename(raw, known, former_ids, path, problems)
    ignore, overrides = _checks(raw.get("checks", {}), known, problems)
    expected = _expected(raw.get("expected", []), known, problems)
    given = {name: raw[name] if isinstance(raw.get(name), dict) else {} for name in ("input", "data")}
    previous = read_previous(raw.get("model", {}), problems)
    models = {"model": tables["model"], **({"model.previous": previous} if previous is not None else {})}
    resolve_files(models, tables["data"], path.parent, problems)
    take_stated(tables["model"], tables["input"], given["input"], problems)
    fit_input(tables["input"], problems)
    for where, model in models.items():
        fit_model(where, model, problems)
    fit_data(tables["data"], given["data"], problems)
    fit_outputs(tables["model"]["outputs"], tables["data"], problems)
    data = tables["data"]
    older = PreviousModel.of(previous, tables["input"], data, problems) if previous is not None else None
    if tables["claims"]["negative_flips"] is not None and previous is None:
        problems.append("claims.negative_flips: needs the model to compare with, set [model.previous]")
    if problems:
        raise ConfigError(problems, printable(str(path)))
    return AuditFile(
        path=path,
        model=ModelSource(**tables["model"], class_indices=data["class_indices"]),
        input=InputSpec(**tables["input"], white=data["scale"]),
        splits={split: DataSource(*data[split]) for split in SPLITS if data[split]},
        classes=data["classes"],
        metadata=data["metadata"],
        reading=Reading(data["labels"], data["columns"], data["skip_unreadable"]),
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
    from cnnaudit.target.model_sources import load
    from cnnaudit.target.probe import probe, two_images
    from cnnaudit.target.splits import load_splits

    folder = file.path.parent.resolve()
    sources = {
        name: (data.source, _from_folder(str(data.source), data.arguments, folder))
        for name, data in file.splits.items()
    }
    splits = load_splits(sources, file.classes, file.input, file.metadata, folder, file.reading)
    arguments = _from_folder(str(file.model.source), file.model.arguments, folder)
    loaded = load(replace(file.model, arguments=arguments), file.input, folder)
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
    if file.previous is None:
        return target
    named = _from_folder(str(file.previous.model.source), file.previous.model.arguments, folder)
    older = replace(file.previous, model=replace(file.previous.model, arguments=named))
    return replace(target, previous=load_previous(target, older, images, folder))


def _from_folder(source: str, arguments: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The arguments of our own functions with their paths relative to the audit file's folder, as all its paths are."""
    if source.partition(":")[0] not in ("cnnaudit.data", "cnnaudit.models"):
        return arguments
    return {
        name: str(folder / value) if name in ("root", "weights") and isinstance(value, str) else value
        for name, value in arguments.items()
    }


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
