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
