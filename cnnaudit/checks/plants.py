"""The planted defects of all families."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnaudit.checks.registry import FAMILIES

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

Builder = Callable[[int], "AuditTarget"]


@dataclass(frozen=True)
class Plant:
    """A defect that a check must fail, and its twin (same seed, same data order) that it must pass.

    Attributes:
        check: the id of the check.
        name: what was planted, in a few words.
        defect, twin: build the target from a seed; cheap enough for a test (a few seconds).
        part: the `[part]` of the finding that must fail and pass, where the check has several.
    """

    check: str
    name: str
    defect: Builder
    twin: Builder
    part: str = ""


@dataclass(frozen=True)
class Population:
    """Targets that are known not to have a check's defect: what its tolerance is measured on, beside the twins.

    Attributes:
        check: the id of the check.
        name: what the population is, in a few words, for the report ("digits, 5 random classes").
        build: the target of a seed.
        seeds: how many seeds the stored null distribution uses.
        part: the `[part]` of the finding that is measured, where the check has several.
    """

    check: str
    name: str
    build: Builder
    seeds: int = 20
    part: str = ""


@functools.cache
def catalogue() -> Sequence[Plant]:
    """Every planted defect: the `PLANTS` of each family's module."""
    modules = (importlib.import_module(f"cnnaudit.planted.{family}") for family in FAMILIES)
    return tuple(plant for module in modules for plant in module.PLANTS)


@functools.cache
def populations() -> Sequence[Population]:
    """Every clean population: the `POPULATIONS` of each family's module."""
    modules = (importlib.import_module(f"cnnaudit.planted.{family}") for family in FAMILIES)
    return tuple(population for module in modules for population in module.POPULATIONS)


def plants_for(check: str) -> list[Plant]:
    """The planted defects of one check id."""
    return [plant for plant in catalogue() if plant.check == check]
