"""Values and comments as TOML writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cnnaudit.core.names import printable

_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def toml(value: Any) -> str:
    """A string, boolean, number, list or table as one line of TOML 1.0; every control character is escaped.

    Example:
        >>> print(toml({"a b": ['"', 1.5, True]}))
        { "a b" = ["\\"", 1.5, true] }
    """
    if isinstance(value, str):
        return '"' + "".join(_character(c) for c in value) + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key(name)} = {toml(entry)}" for name, entry in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (list, tuple, range)):
        return "[" + ", ".join(toml(entry) for entry in value) + "]"
    return str(value)


def key(name: str) -> str:
    """A key, in quotes where it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)


def comment(text: str) -> str:
    """The text as one line that a TOML comment can hold."""
    return printable(" ".join(text.split()))


def _character(c: str) -> str:
    """One character inside quotes. A lone surrogate has no place in UTF-8: it becomes the replacement character."""
    if c in _ESCAPES:
        return _ESCAPES[c]
    if 0xD800 <= ord(c) <= 0xDFFF:
        return "\\uFFFD"
    return c if printable(c) == c else f"\\u{ord(c):04X}"
