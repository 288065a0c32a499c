"""An audit file as text: read as TOML, its numbers and nesting bounded, its values shown in messages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import ConfigError
from cnnaudit.core.names import printable

LARGEST_FILE = 1_000_000  # bytes
DEEPEST = 32  # tables and lists inside each other
MOST_SHOWN = 200  # characters


def parse(path: Path) -> dict[str, Any]:
    """The tables of a TOML file whose whole numbers have 64 bits at most, as TOML demands.

    Raises:
        ConfigError: the file is missing, too large, no regular file or no TOML; a number is too large, tables lie too
            deep.
    """
    source = printable(str(path))
    text = _text(path, source)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {printable(str(error))}", source) from None
    except RecursionError:
        raise ConfigError(
            f"{_deepest_line(text)}expected at most {DEEPEST} tables and lists inside each other", source
        ) from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        raise ConfigError(f"{_longest_number(text)}expected a whole number of at most 64 bits", source) from None
    if problems := list(_out_of_bounds("", raw, 0)):
        raise ConfigError(problems, source)
    return raw


def shown(value: Any) -> str:
    """A value as messages show it: with control characters escaped, shortened where it is long.

    Example:
        >>> shown("a\\nb"), len(shown("x" * 1000))
        ("'a\\\\nb'", 201)
    """
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def shown_key(name: str) -> str:
    """A key as messages show it."""
    return name if re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name) else shown(name)


def _text(path: Path, source: str) -> str:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError("cannot be read: expected a file", source)
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ConfigError(f"expected a file of at most {LARGEST_FILE:,} bytes", source)
        return content.decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        raise ConfigError("no such file; write one with `cnnaudit init`", source) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not valid TOML: byte {error.start} is not UTF-8", source) from None
    except ValueError as error:  # a NUL in the name
        raise ConfigError(f"cannot be read: {error}", source) from None


def _out_of_bounds(where: str, value: Any, depth: int) -> Iterator[str]:
    """What is wrong with the numbers and the nesting of a value, each with its key."""
    if depth > DEEPEST:
        yield f"{where[:MOST_SHOWN]}: expected at most {DEEPEST} tables and lists inside each other"
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from _out_of_bounds(f"{where}.{shown_key(name)}" if where else shown_key(name), entry, depth + 1)
    elif isinstance(value, list):
        for number, entry in enumerate(value, start=1):
            yield from _out_of_bounds(f"{where}[{number}]", entry, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield f"{where}: expected a whole number of at most 64 bits, got {value.bit_length()} bits"


def _longest_number(text: str) -> str:
    """The line and key of the first very long number."""
    for number, line in enumerate(text.splitlines(), start=1):
        if re.search(r"[0-9_]{1000}", line):
            return f"line {number}, {shown_key(line.partition('=')[0].strip())}: "
    return ""


def _deepest_line(text: str) -> str:
    """The line and key with the most opening brackets."""
    lines = text.splitlines()
    number = max(range(len(lines)), key=lambda k: lines[k].count("[") + lines[k].count("{"), default=0)
    return f"line {number + 1}, {shown_key(lines[number].partition('=')[0].strip())}: "
