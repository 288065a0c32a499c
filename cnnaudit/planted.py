"""The planted defects and clean populations of all checks; each stands in the file of its check."""

from __future__ import annotations

from collections.abc import Mapping

from cnnaudit.checks import Plant, Population
from cnnaudit.checks import catalogue as checks

__all__ = ["Plant", "Population", "catalogue", "populations"]


def catalogue() -> Mapping[str, tuple[Plant, ...]]:
    """The planted defects, each with its clean twin, by check id.

    Example:
        >>> [plant.name for plant in catalogue()["dataset.label_signal"]]
        ['shuffled labels']
    """
    return {id: check.plants for id, check in checks().items()}


def populations() -> Mapping[str, tuple[Population, ...]]:
    """The clean populations on which each tolerance is measured, by check id."""
    return {id: check.populations for id, check in checks().items()}
