"""Parts of error messages: the nearest name, a short list, another library's message in one line."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the nearest of the names; empty where none is near.

    Example:
        >>> nearest("widht", ["width", "height"])
        "; did you mean 'width'?"
        >>> nearest("clinic.brightness", ["padding.border_response"])
        ''
    """
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def listed(names: Collection[str], most: int = 3) -> str:
    """The first names, in quotes, and how many more there are.

    Example:
        >>> listed(["a", "b", "c", "d"], most=2)
        "'a', 'b' and 2 more"
    """
    shown = ", ".join(repr(name) for name in list(names)[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def one_line(error: BaseException, most: int = 300) -> str:
    """The type and message of an error in one line of at most `most` characters.

    Example:
        >>> one_line(ValueError("two\\nlines"))
        'ValueError: two lines'
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
