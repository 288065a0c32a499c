"""Names that are safe on any file system, in any link."""

from __future__ import annotations

import hashlib
import re

LONGEST = 80


def folder_name(name: str) -> str:
    """The folder of a target under `reports/`: letters, digits, `.`, `_`, `-`; different names give different folders.

    Example:
        >>> folder_name("digits-lenet"), folder_name("../etc")
        ('digits-lenet', 'etc-f7f9121f')
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:LONGEST].rstrip(".")
    usable = safe and safe.partition(".")[0].upper() not in _RESERVED
    if usable and safe == name:
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe if usable else 'target'}-{digest}"


_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{k}" for port in ("COM", "LPT") for k in range(1, 10))}


def is_file_name(name: str, ending: str) -> bool:
    """Whether a name is a plain file name with that ending: it can leave no folder and hides nothing.

    Example:
        >>> is_file_name("pairs.csv", ".csv"), is_file_name("../pairs.csv", ".csv")
        (True, False)
    """
    return name.endswith(ending) and len(name) > len(ending) and folder_name(name) == name
