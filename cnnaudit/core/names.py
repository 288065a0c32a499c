"""Names from the disk that would write something else than themselves into a file or a terminal."""

from __future__ import annotations

import unicodedata

# They turn the order of what stands around them, so that a name reads as another one (Unicode, property Bidi_Control).
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def unsafe_character(name: str) -> str | None:
    """The first control character, line separator, direction mark or undecodable byte of a name; None: it has none.

    Example:
        >>> unsafe_character("café"), unsafe_character("a\\nb")
        (None, '\\n')
    """
    unsafe = ("Cc", "Cs", "Zl", "Zp")
    return next((c for c in name if c in _DIRECTIONS or unicodedata.category(c) in unsafe), None)


def printable(name: str) -> str:
    """The name with every such character written as its escape, for messages.

    Example:
        >>> printable("a\\nb")
        'a\\\\nb'
    """
    return "".join(c if unsafe_character(c) is None else ascii(c)[1:-1] for c in name)
