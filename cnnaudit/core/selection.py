"""Which ids shell-style patterns select."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from cnnaudit.core.errors import ConfigError
from cnnaudit.core.wording import nearest


def select(patterns: Iterable[str], ids: Iterable[str]) -> list[str]:
    """The ids that match any of the patterns, in their own order.

    Raises:
        ConfigError: a pattern matches nothing; the nearest id is named.

    Example:
        >>> select(["padding.*"], ["dataset.leakage", "padding.blind_spot"])
        ['padding.blind_spot']
    """
    ids = list(ids)
    chosen: set[str] = set()
    for pattern in patterns:
        matches = fnmatch.filter(ids, pattern)
        if not matches:
            families = dict.fromkeys(f"{id.partition('.')[0]}.*" for id in ids)
            raise ConfigError(f"no check matches {pattern!r}{nearest(pattern, families if '*' in pattern else ids)}")
        chosen.update(matches)
    return [id for id in ids if id in chosen]
