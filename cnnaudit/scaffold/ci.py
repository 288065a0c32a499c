"""`init --ci`: where a service reads its configuration, and what it must bring to the runner."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cnnaudit.core.errors import AuditError


@dataclass(frozen=True, slots=True)
class Service:
    """The file that a service reads, from the root of the repository, and our template of it."""

    file: str
    template: str


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        "github": Service(".github/workflows/audit.yml", "github.yml.j2"),
        "gitlab": Service(".gitlab-ci.yml", "gitlab.yml.j2"),
    }
)


def repository(output: Path) -> Path:
    """The root of the repository that a file will lie in: the nearest folder with `.git`.

    Where there is none: the working folder if the file lies in it, else the file's own folder.
    """
    home, here = output.parent.resolve(), Path.cwd()
    found = next((place for place in (home, *home.parents) if (place / ".git").exists()), None)
    return found or (here if home.is_relative_to(here) else home)


def workflow(service: str, output: Path) -> Path:
    """The file that the service will read, as a path from the working folder where it lies in it."""
    path = repository(output) / SERVICES[service].file
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def workflow_facts(service: str, output: Path, paths: Sequence[str | None]) -> dict[str, Any]:
    """What the template shows: the audit file, and the files and folders that must be on the runner.

    Raises:
        AuditError: a name holds what GitHub reads as code.
    """
    root = repository(output)
    shown = [_from(root, name) for name in [str(output), *(p for p in paths if p and os.path.exists(p))]]
    for name in shown:
        if "${{" in name:
            raise AuditError(f"{name}: GitHub reads ${{{{ as code; choose a name without it")
    needed = " ".join(shlex.quote(name) for name in dict.fromkeys(shown[1:])) or shlex.quote(shown[0])
    return {"audit_file": shown[0], "needed": needed, "workflow": SERVICES[service].file}


def _from(root: Path, name: str) -> str:
    return Path(os.path.relpath(name, root)).as_posix()
