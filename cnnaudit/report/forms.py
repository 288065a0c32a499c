"""Forms that JSON values from outside must have; what does not fit is refused with its JSON path."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Form = Callable[[Any, str], None]
LARGEST_NUMBER = 1e100
LARGEST_COUNT = 2**53
LONGEST_TEXT = 100_000
MOST_ITEMS = 200_000


class FormError(ValueError):
    """A value that does not have its form; `path` says where it stands, such as `$.findings[0].n`."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        super().__init__(f"{path}: {problem}")


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands in parsed JSON for what the parser could not take, so that its path can be told."""

    problem: str


def expected(what: str, value: Any, path: str) -> FormError:
    """The error that says what was expected and what was found."""
    found = {"NoneType": "null", "dict": "an object", "list": "a list", "str": "text"}
    shown = value.problem if isinstance(value, Refused) else found.get(type(value).__name__, str(value)[:40])
    return FormError(path, f"expected {what}, found {shown}")


def text(most: int = LONGEST_TEXT) -> Form:
    """Text of at most so many characters, without control characters (line breaks and tabs may stand)."""

    def form(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise expected("text", value, path)
        if len(value) > most:
            raise FormError(path, f"expected text of at most {most:,} characters, found {len(value):,}")
        for character in value:
            if not plain(character):
                raise FormError(path, f"a control character, U+{ord(character):04X}, is not allowed")

    return form


def plain(character: str) -> bool:
    """Whether a character may stand in a report: no control character but line breaks and tabs, no lone surrogate."""
    return character in "\n\r\t" or unicodedata.category(character) not in ("Cc", "Cs")


def plain_json(value: Any) -> Any:
    r"""JSON values whose texts may stand in a report: other characters are written out, such as `\\x1b`."""
    if isinstance(value, str):
        return value if all(map(plain, value)) else "".join(c if plain(c) else repr(c)[1:-1] for c in value)
    if isinstance(value, Mapping):
        return {plain_json(key): plain_json(entry) for key, entry in value.items()}
    return [plain_json(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def number(low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER) -> Form:
    """A finite number between two bounds."""

    def form(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise expected("a number", value, path)
        if not low <= value <= high:
            raise FormError(path, f"expected a number from {low:g} to {high:g}, found {value:g}")

    return form


def integer(low: int = 0, high: int = LARGEST_COUNT) -> Form:
    """A whole number between two bounds."""

    def form(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise expected("a whole number", value, path)
        if not low <= value <= high:
            raise FormError(path, f"expected a whole number from {low} to {high}, found {value}")

    return form


def boolean(value: Any, path: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise expected("true or false", value, path)


def choice(*words: str) -> Form:
    """One of a few words."""

    def form(value: Any, path: str) -> None:
        if not isinstance(value, str) or value not in words:
            raise expected(f"one of {', '.join(words)}", value if not isinstance(value, str) else repr(value), path)

    return form


def day(value: Any, path: str) -> None:
    """Text that begins with an ISO date, such as `2027-06-30`; empty text for no date."""
    text(40)(value, path)
    try:
        _ = value and datetime.date.fromisoformat(value[:10])
    except ValueError:
        raise FormError(path, f"expected an ISO date such as 2027-06-30, found {value!r}") from None


def optional(form: Form) -> Form:
    """The form, or null."""

    def either(value: Any, path: str) -> None:
        if value is not None:
            form(value, path)

    return either


def list_of(item: Form, most: int = MOST_ITEMS, least: int = 0) -> Form:
    """A list of so many items, all of one form."""

    def form(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise expected("a list", value, path)
        if not least <= len(value) <= most:
            raise FormError(path, f"expected {least:,} to {most:,} items, found {len(value):,}")
        for k, entry in enumerate(value):
            item(entry, f"{path}[{k}]")

    return form


def tuple_of(*items: Form) -> Form:
    """A list with one item per form."""

    def form(value: Any, path: str) -> None:
        list_of(_later, most=len(items), least=len(items))(value, path)
        for k, (item, entry) in enumerate(zip(items, value)):
            item(entry, f"{path}[{k}]")

    return form


def mapping_of(item: Form, most: int = MOST_ITEMS) -> Form:
    """An object with any names and values of one form."""

    def form(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise expected("an object", value, path)
        if len(value) > most:
            raise FormError(path, f"expected at most {most:,} entries, found {len(value):,}")
        for key, entry in value.items():
            text(1_000)(key, f"{path}: a name")
            item(entry, _inside(path, key))

    return form


def record(needed: Mapping[str, Form], others: Mapping[str, Form], more: Form | None = None) -> Form:
    """An object with certain entries; unknown ones are refused, or must have the form `more`."""

    def form(value: Any, path: str) -> None:
        mapping_of(_later)(value, path)
        forms = {**needed, **others}
        for key in value:
            if key not in forms and more is None:
                raise FormError(path, f"unknown field {key[:60]!r}; expected {', '.join(sorted(forms))}")
        for key in needed:
            if key not in value:
                raise FormError(path, f"the entry {key!r} is missing")
        for key, entry in value.items():
            forms.get(key, more or anything)(entry, _inside(path, key))

    return form


def anything(value: Any, path: str, depth: int = 8) -> None:
    """Any JSON value of bounded depth and size."""
    if isinstance(value, (dict, list)) and not depth:
        raise FormError(path, "the nesting is too deep")
    entries: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for key in value:
            text(1_000)(key, f"{path}: a name")
        entries = [(_inside(path, key), entry) for key, entry in value.items()]
    elif isinstance(value, list):
        entries = [(f"{path}[{k}]", entry) for k, entry in enumerate(value)]
    elif isinstance(value, str):
        text()(value, path)
    elif value is not None and not isinstance(value, bool):
        number()(value, path)
    for place, entry in entries:
        anything(entry, place, depth - 1)


def _later(value: Any, path: str) -> None:
    """No form: the entry's own one is asked afterwards, which may allow longer text (pictures)."""


def _inside(path: str, key: str) -> str:
    """The path of an entry of an object."""
    return f"{path}.{key[:60]}" if key.isidentifier() else f"{path}[{key[:60]!r}]"
