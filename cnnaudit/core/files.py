"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path


def write_whole(files: Mapping[Path, str | bytes]) -> None:
    """Write texts as UTF-8 and bytes as they are, through temporary files beside them.

    None is replaced before all are on the disk.

    Raises:
        OSError: a file cannot be written; older ones are as they were and no temporary file is left.
    """
    scratch = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in files}
    try:
        for path, part in scratch.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            content = files[path]
            part.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
        for path, part in scratch.items():
            os.replace(part, path)
    finally:
        for part in scratch.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
