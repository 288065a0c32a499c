"""`init`: a first audit.toml, written after a look at the model and at the images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import AuditError
from cnnaudit.core.files import write_whole
from cnnaudit.scaffold.look import Folder, look_at_folder, look_at_model, stated_preprocessing


def scaffold(
    source: str,
    output: Path,
    *,
    weights: str | None = None,
    train: str | None = None,
    validation: str | None = None,
    ci: str | None = None,
) -> list[Path]:
    """Write an audit file, and with `ci="github"` a workflow beside it; nothing is overwritten.

    Args:
        source: a model source of the audit file (`torchvision:resnet18`, `module:callable`, a file).
        output: the audit file to write; paths in it are relative to its folder.
        train, validation: folders per class, or `module:callable`.

    Returns:
        The files that were written.

    Raises:
        AuditError: a file is already there, no data were named, or a folder cannot be read.
    """
    planned = [output, *([output.parent / ".github" / "workflows" / "audit.yml"] if ci else [])]
    for path in planned:
        if path.exists():
            raise AuditError(f"{path} is already there; move it away, or name another file with --output")
    if not (train or validation):
        raise AuditError("no images to audit with: name them with --train and --validation (a folder per class each)")
    folder = next((look_at_folder(Path(d)) for d in (validation, train) if d and Path(d).is_dir()), None)
    stated = stated_preprocessing(source)
    arguments = {"num_classes": len(folder.classes)} if stated and folder and not weights else {}
    channels = stated.get("channels", folder.channels if folder else 3)
    size = tuple(stated.get("size", folder.size if folder else (224, 224)))
    facts = {
        "file": output.name,
        "name": _name(source),
        "source": _relative(source, output),
        "arguments": arguments,
        "outputs": look_at_model(source, arguments, weights, output.parent.resolve(), channels, size),
        "weights": weights and _relative(weights, output),
        "train": train and _relative(train, output),
        "validation": validation and _relative(validation, output),
        "folder": folder,
        "stated": stated,
        "channels": channels,
        "size": size,
    }
    templates = ("audit.toml.j2", "github.yml.j2")
    write_whole({path: _render(template, facts) for path, template in zip(planned, templates)})
    return planned


def _render(template: str, facts: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("cnnaudit.scaffold", "")
    environment = Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.get_template(template).render(facts) + "\n"


def _name(source: str) -> str:
    """A target's name from its source: the last part, in the characters that a folder may have."""
    last = source.replace("\\", "/").rpartition("/")[2].rpartition(":")[2]
    stem = last.rpartition(".")[0] or last
    return "".join(c if (c.isalnum() and c.isascii()) or c in "-_." else "-" for c in stem) or "model"


def _relative(path: str, output: Path) -> str:
    """A path as seen from the audit file's folder; imports and library names are left as they are."""
    return Path(os.path.relpath(path, output.parent)).as_posix() if Path(path).exists() else path


__all__ = ["Folder", "look_at_folder", "look_at_model", "scaffold", "stated_preprocessing"]
