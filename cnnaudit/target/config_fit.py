"""Whether the values of an audit file fit each other and the files they name; what is left out is filled in."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import AuditError, DataError
from cnnaudit.core.names import printable
from cnnaudit.core.wording import one_line
from cnnaudit.target import LABELED, PRODUCTION
from cnnaudit.target.config_keys import KEYS, RefusedError
from cnnaudit.target.config_text import shown
from cnnaudit.target.model_sources import CALLABLE, LIBRARIES

SPLITS = (*LABELED, PRODUCTION)
ARRAYS = (".npz", ".tar")  # files that hold a whole split


def resolve_files(
    models: Mapping[str, dict[str, Any]], data: dict[str, Any], folder: Path, problems: list[str]
) -> None:
    """Turn the paths in the tables into absolute ones; what does not exist is a problem.

    Args:
        models: the tables that name a model, by name.
    """

    def resolve(key: str, value: str, what: str) -> Path:
        try:
            path = (folder / value).resolve()
            if not (path.is_dir() if what == "folder" else path.is_file()):
                problems.append(f"{key} = {shown(value)}: no such {what} ({printable(str(path))[:500]})")
        except (OSError, ValueError, RuntimeError) as error:  # too long, NUL, links in a circle, an unreadable parent
            path = folder
            problems.append(f"{key} = {shown(value)}: no {what} that can be read ({one_line(error)})")
        return path

    for where, model in models.items():
        if model["weights"]:
            model["weights"] = resolve(f"{where}.weights", model["weights"], "file")
        source = model["source"]
        if source and source.startswith("hf:"):
            model["source"] = f"hf:{resolve(f'{where}.source', source.removeprefix('hf:'), 'folder')}"
        elif source and not source.startswith(LIBRARIES) and not CALLABLE.fullmatch(source):
            model["source"] = resolve(f"{where}.source", source, "file")
    for key in ("metadata", "labels"):
        if data[key]:
            data[key] = resolve(f"data.{key}", data[key], "file")
    for split in SPLITS:
        if data[split] and not CALLABLE.fullmatch(data[split][0]):
            source = data[split][0]
            if source.lower().endswith(".tar") and "{" in source and "\0" not in source:
                path = folder.resolve() / source  # which shards there are is seen when they are read
            else:
                path = resolve(f"data.{split}", source, "file" if source.lower().endswith(ARRAYS) else "folder")
            data[split] = (path, data[split][1])


def take_stated(model: Mapping[str, Any], image: dict[str, Any], given: Collection[str], problems: list[str]) -> None:
    """Fill what `[input]` leaves out with the preprocessing that a timm or transformers model states itself."""
    source = model["source"]
    if "size" not in given and isinstance(source, str) and source.startswith(("timm:", "hf:")):
        from cnnaudit.target.stated import stated_preprocessing

        try:
            stated = stated_preprocessing(source)
        except AuditError as error:
            problems.append(f"input.size: missing, and the model does not state it: {error}")
            stated = {"size": (1, 1)}
        for name, value in stated.items():
            if name not in given:
                try:
                    image[name] = KEYS["input"][name].read(value)
                except RefusedError:
                    problems.append(
                        f"input.{name}: the model states {shown(value)}, expected {KEYS['input'][name].accepted}"
                    )
    elif "size" not in given:
        problems.append(f"input.size: missing; expected {KEYS['input']['size'].accepted}")


def fit_input(image: Mapping[str, Any], problems: list[str]) -> None:
    """Whether the values of [input] fit each other."""
    for key in ("mean", "std"):
        if len(image[key]) not in (1, image["channels"]):
            problems.append(
                f"input.{key} = {list(image[key])}: expected one number, or {image['channels']}, one per channel"
            )
    if image["order"] == "BGR" and image["channels"] != 3:
        problems.append("input.order = 'BGR': only images of three channels have such an order; leave it out")
    if image["resize"] and image["size"] and image["resize"] < min(image["size"]):
        problems.append(
            f"input.resize = {image['resize']}: a crop of input.size = {list(image['size'])} does not fit into it"
        )


def fit_model(where: str, model: Mapping[str, Any], problems: list[str]) -> None:
    """Whether the values of a model's table fit each other."""
    if isinstance(model["source"], Path) or str(model["source"]).startswith("hf:"):
        name = Path(str(model["source"])).name
        for key in ("arguments", "weights", "weights_key"):
            if model[key]:
                problems.append(f"{where}.{key}: {name} holds its own; leave them out")


def fit_data(data: dict[str, Any], given: Collection[str], problems: list[str]) -> None:
    """Whether the values of [data] fit each other; classes that are not given are the folder names, or the labels."""
    if not set(LABELED) & set(given):
        problems.append(f"data.validation: missing, and so is data.train; expected {KEYS['data']['train'].accepted}")
    sources = [data[split][0] for split in LABELED if data[split]]
    if data["labels"]:
        _fit_labels(data, given, sources, problems)
    elif sources and "classes" not in given:
        _name_classes(data, sources, problems)
    indices, classes = data["class_indices"], data["classes"]
    if indices and classes and len(indices) != len(classes) and len(indices) != 1:
        problems.append(
            f"data.class_indices: expected one number for each of {len(classes)} classes, got {len(indices)}"
        )


def fit_outputs(outputs: str, data: Mapping[str, Any], problems: list[str]) -> None:
    """Whether a single output is asked about two classes."""
    one = bool(data["class_indices"]) and len(data["class_indices"]) == 1
    if (outputs == "binary" or one) and data["classes"] and len(data["classes"]) != 2:
        problems.append(
            f"data.classes: a single output is about two classes, the second the one that it speaks for; got "
            f"{list(data['classes'])[:12]}"
        )
    if outputs == "binary" and data["class_indices"] and not one:
        problems.append("data.class_indices: model.outputs = 'binary' asks about one output; give one number")
    if one and outputs not in ("binary", "sigmoid"):
        problems.append(
            "data.class_indices: one number picks a single output for a question of two classes; say model.outputs = "
            "'binary' (a logit) or 'sigmoid' (a probability)"
        )


def _fit_labels(data: dict[str, Any], given: Collection[str], sources: list[Any], problems: list[str]) -> None:
    """Whether the table of labels can be read, and the classes that it names."""
    from cnnaudit.target.labels import classes_of, understand
    from cnnaudit.target.tables import read_table

    if any(not isinstance(source, Path) or source.suffix.lower() in ARRAYS for source in sources):
        problems.append("data.labels: describes image files, but a split is a callable or holds its own labels")
        return
    if not data["labels"].is_file():
        return
    try:
        table = read_table(data["labels"])
        columns = understand(table, data["columns"])
        if len(sources) == 2 and sources[0] == sources[1] and columns.split is None:
            problems.append(
                f"data.labels: {table.source} has no column that tells the splits apart, and both are "
                f"{sources[0].name}: "
                "every validation image would be trained on. Add a column 'split', or name folders of their own"
            )
        if "classes" not in given:
            data["classes"] = KEYS["data"]["classes"].read(list(classes_of(table, columns)))
    except RefusedError:
        problems.append(
            f"data.labels: {table.source} names the classes {shown(list(classes_of(table, columns)))}; expected "
            f"{KEYS['data']['classes'].accepted}"
        )
    except DataError as error:
        problems.append(f"data.labels: {error}")


def _name_classes(data: dict[str, Any], sources: list[Any], problems: list[str]) -> None:
    """Take the names of the class folders for the classes."""
    from cnnaudit.target.folders import class_folders

    folder = next((source for source in sources if isinstance(source, Path) and os.path.isdir(source)), None)
    try:
        data["classes"] = class_folders(folder) if folder else ()
    except DataError as error:
        problems.append(f"data.classes: missing, and the folders cannot name them: {error}")
        return
    if len(data["classes"]) < 2:
        found = f"; {folder} has fewer than two folders to name them" if folder else ""
        problems.append(f"data.classes: missing; expected {KEYS['data']['classes'].accepted}{found}")
