"""`init`: a first audit.toml, written after a look at the model and at the images."""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import AuditError
from cnnaudit.core.files import write_whole
from cnnaudit.core.names import printable, unsafe_character
from cnnaudit.core.toml_text import comment, toml
from cnnaudit.scaffold.ci import SERVICES, workflow, workflow_facts
from cnnaudit.scaffold.look import Folder, look_at_folder, look_at_model
from cnnaudit.target.model_sources import CALLABLE
from cnnaudit.target.stated import stated_preprocessing


@dataclass(frozen=True, slots=True)
class Written:
    """The files that `scaffold` wrote, what the user should know before trusting them, and what was understood."""

    files: tuple[Path, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


def audit_command(file: Path | str) -> str:
    """The shell line that audits a file.

    Example:
        >>> audit_command("my audit.toml")
        "cnnaudit audit 'my audit.toml'"
    """
    name = str(file)
    return f"cnnaudit audit {shlex.quote(f'./{name}' if name.startswith('-') else name)}"


def scaffold(
    source: str,
    output: Path,
    *,
    weights: str | None = None,
    train: str | None = None,
    validation: str | None = None,
    ci: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Written:
    """Write an audit file, and with `ci` the file that `github` or `gitlab` reads; nothing is overwritten.

    Args:
        source: a model source of the audit file (`torchvision:resnet18`, `module:callable`, a file).
        output: the audit file to write; paths in it are relative to its folder.
        train, validation: folders per class, or `module:callable`.
        arguments: keyword arguments of the model's constructor.

    Raises:
        AuditError: a file is already there or cannot be written, no data were named, a folder is missing or cannot be
            read, or a name holds a control character.
    """
    _check_names(
        {"--model": source, "--weights": weights, "--train": train, "--validation": validation, "--output": str(output)}
    )
    planned = [output, *([workflow(ci, output)] if ci else [])]
    for path, option in zip(planned, ("name another file with --output", "leave out --ci")):
        if os.path.lexists(path):
            raise AuditError(f"{path} is already there; move it away, or {option}")
    job = workflow_facts(ci, output, (source, weights, train, validation)) if ci else {}
    if not (train or validation):
        raise AuditError("no images to audit with: name them with --train and --validation (a folder per class each)")
    for option, data in (("--train", train), ("--validation", validation)):
        if data and not os.path.isdir(data) and not CALLABLE.fullmatch(data):
            raise AuditError(f"{option} {data}: no such folder; expected a folder per class in it, or module:callable")
    folder = next((look_at_folder(Path(d)) for d in (validation, train) if d and os.path.isdir(d)), None)
    facts = _facts(source, output, weights, train, validation, folder, arguments or {})
    texts = {output: _render("audit.toml.j2", facts)}
    if ci:
        texts[planned[1]] = _render(SERVICES[ci].template, {**job, "command": audit_command(job["audit_file"])})
    try:
        write_whole(texts)
    except OSError as error:
        raise AuditError(f"{output} cannot be written: {error.strerror}; choose another place with --output") from None
    notes = (folder.labels.words,) if folder and folder.labels else ()
    return Written(tuple(planned), facts["warnings"], notes)


def read_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """The model's arguments from texts NAME=VALUE: a value as TOML writes it; what is no TOML is text.

    Raises:
        AuditError: a text has no `=`, or holds a control character.

    Example:
        >>> read_arguments(["num_classes=3", "norm=layer", "pretrained=false"])
        {'num_classes': 3, 'norm': 'layer', 'pretrained': False}
    """
    read = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier() or unsafe_character(text) is not None or len(text) > 1_000:
            raise AuditError(f"--arguments {printable(pair[:200])}: expected NAME=VALUE, such as num_classes=3")
        try:
            read[name] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            read[name] = text
    return read


def _facts(
    source: str,
    output: Path,
    weights: str | None,
    train: str | None,
    validation: str | None,
    folder: Folder | None,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that the templates show."""
    stated = stated_preprocessing(source)
    guessed = {"num_classes": len(folder.classes)} if stated and folder and not weights else {}
    arguments = {**guessed, **given}
    channels = stated.get("channels", folder.channels if folder else 3)
    size = tuple(stated.get("size", folder.size if folder else (224, 224)))
    return {
        "command": audit_command(output.name),
        "name": _name(source),
        "source": _relative(source, output),
        "arguments": arguments,
        "outputs": look_at_model(source, arguments, weights, output.parent.resolve(), channels, size),
        "weights": weights and _relative(weights, output),
        "train": train and _relative(train, output),
        "validation": validation and _relative(validation, output),
        "folder": folder,
        "labels": folder.labels if folder else None,
        "table": _relative(str(folder.labels.path), output) if folder and folder.labels else None,
        "stated": stated,
        "channels": channels,
        "size": size,
        "warnings": _warnings(source, weights, train, validation, folder, arguments),
    }


def _warnings(
    source: str,
    weights: str | None,
    train: str | None,
    validation: str | None,
    folder: Folder | None,
    arguments: Mapping[str, Any],
) -> tuple[str, ...]:
    """What would make the audit answer another question than the one that was meant."""
    warnings = []
    if (
        source.startswith(("torchvision:", "timm:"))
        and not weights
        and not arguments.keys() & {"weights", "pretrained"}
    ):
        warnings.append(f"{source} has random weights: name its trained ones with --weights (model.weights)")
    if train and validation and os.path.isdir(train) and os.path.isdir(validation):
        same, labels = os.path.samefile(train, validation), folder.labels if folder else None
        told_apart = labels is not None and labels.columns.split is not None
        if same and not told_apart:
            warnings.append("train and validation are one folder: every validation image was trained on")
        elif not same and Path(validation).resolve().is_relative_to(Path(train).resolve()):
            warnings.append("the validation folder lies inside the training folder: its images were trained on")
    if folder and folder.unread:
        warnings.append(f"{len(folder.unread)} of the images looked at cannot be read, the first: {folder.unread[0]}")
    return tuple(warnings)


def _check_names(names: Mapping[str, str | None]) -> None:
    """Refuse names that would write something else than themselves into the file."""
    for option, name in names.items():
        if name and ((character := unsafe_character(name)) is not None or len(name) > 4_000):
            what = f"holds {character!a}" if character else "is too long"
            raise AuditError(f"{option} {printable(name[:200])}: the name {what}; rename the file or folder")


def _render(template: str, facts: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("cnnaudit.scaffold", "")
    environment = Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"toml": toml, "comment": comment}
    return environment.get_template(template).render(facts) + "\n"


def _name(source: str) -> str:
    """A target's name from its source: the last part, in the characters that a folder may have."""
    last = source.replace("\\", "/").rpartition("/")[2].rpartition(":")[2]
    stem = last.rpartition(".")[0] or last
    safe = "".join(c if (c.isalnum() and c.isascii()) or c in "-_." else "-" for c in stem)
    return safe.lstrip(".")[:100] or "model"


def _relative(path: str, output: Path) -> str:
    """A path as seen from the audit file's folder; imports and library names are left as they are."""
    return Path(os.path.relpath(path, output.parent)).as_posix() if os.path.exists(path) else path


__all__ = [
    "Folder",
    "Written",
    "audit_command",
    "look_at_folder",
    "look_at_model",
    "read_arguments",
    "scaffold",
    "stated_preprocessing",
]
