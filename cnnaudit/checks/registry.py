"""What a check is: its question, its judgement, the function that measures it, and what it must catch and spare."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from cnnaudit.checks.context import CheckContext
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Direction, Finding
from cnnaudit.core.profiles import PROFILES, Profile, profile_named
from cnnaudit.target import LABELED

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

T = TypeVar("T")
Need = Literal["train", "validation", "production", "metadata", "previous", "inside"]
Body = Callable[[CheckContext], "Finding | list[Finding]"]
Builder = Callable[[int], "AuditTarget"]


@dataclass(frozen=True)
class Plant:
    """A defect that a check must fail, and its twin (same seed, same data order) that it must pass.

    Attributes:
        name: what was planted, in a few words.
        defect, twin: build the target from a seed; cheap enough for a test (a few seconds).
        part: the `[part]` of the finding that must fail and pass, where the check has several; or some of them.
        check: the id of the check, needed only in a module that holds several checks.
    """

    name: str
    defect: Builder
    twin: Builder
    part: str | tuple[str, ...] = ""
    check: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are asked; none: all of them."""
        return _parts(self.part)


@dataclass(frozen=True)
class Population:
    """Targets that are known not to have a check's defect; its tolerance is measured on them and on the twins.

    Attributes:
        name: what the population is, in a few words, for the report ("digits, 5 random classes").
        build: the target of a seed.
        seeds: number of seeds of the stored null distribution.
        part: the `[part]` of the finding that is measured, where the check has several; or some of them.
        check: the id of the check, needed only in a module that holds several checks.
    """

    name: str
    build: Builder
    seeds: int = 20
    part: str | tuple[str, ...] = ""
    check: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are measured; none: all of them."""
        return _parts(self.part)


def _parts(part: str | tuple[str, ...]) -> tuple[str, ...]:
    return part if isinstance(part, tuple) else (part,) if part else ()


@dataclass(frozen=True)
class Check:
    """One question about a target. Calling it gives its finding or findings.

    Attributes:
        id: `family.name`, from the place of its file: `checks/dataset/leakage.py` holds `dataset.leakage`.
        gate: whether a failure fails the run, or a function of the target that says so.
        tolerance: the bound, one for all or one per profile; measured on a null distribution (see `null_file`).
        needs: what a target must have for the question to make sense; without it, `not_applicable`.
        exact: an arithmetic property without sampling error; it stands outside the correction.
        module: the module that defines it, which may hold `PLANTS` and `POPULATIONS`.
        replaces: ids of former checks; audit files may still name them, see `former_ids`.
    """

    id: str
    question: str
    statistic: str
    unit: str
    direction: Direction
    tolerance: float | Mapping[str, float]
    gate: bool | Callable[[AuditTarget], bool]
    remedy: str
    reference: str
    body: Body
    needs: tuple[Need, ...] = ()
    exact: bool = False
    module: str = ""
    replaces: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.id

    def __call__(
        self,
        target: AuditTarget,
        *,
        tolerance: float | None = None,
        seed: int = 0,
        confidence: float = 0.95,
        profile: str | Profile = "quick",
        gate: bool | None = None,
    ) -> Finding | list[Finding]:
        """Run the check on a target.

        Args:
            tolerance: replaces the default bound.
            seed: the run's seed; every draw derives from (seed, target, check id).
            confidence: of the intervals that the verdict rests on; a run gives 1 - .05 / gates.
            profile: `quick`, `standard` or `deep`.
            gate: replaces the default.

        Returns:
            One finding, or a list where the check answers per part (claim, layer, method).
        """
        effort = profile_named(profile)
        context = CheckContext(
            check=self,
            target=target,
            tolerance=self.tolerance_at(effort.name) if tolerance is None else tolerance,
            seed=seed,
            profile=effort,
            confidence=confidence,
            gate=self.is_gate(target) if gate is None else gate,
        )
        start = time.perf_counter()
        missing = self.missing(target)
        try:
            found = context.not_applicable(missing) if missing else self.body(context)
        except UnsupportedError as reason:
            found = context.not_applicable(str(reason))
        seconds = time.perf_counter() - start
        if isinstance(found, Finding):
            return replace(found, seconds=seconds)
        return [replace(finding, seconds=seconds / len(found)) for finding in found]

    @property
    def family(self) -> str:
        """The part of the id before its point."""
        return self.id.partition(".")[0]

    @property
    def plants(self) -> tuple[Plant, ...]:
        """The planted defects of this check, from the `PLANTS` of its module."""
        return tuple(plant for plant in self._beside("PLANTS", Plant) if plant.check in ("", self.id))

    @property
    def populations(self) -> tuple[Population, ...]:
        """The clean populations of this check, from the `POPULATIONS` of its module."""
        return tuple(
            population for population in self._beside("POPULATIONS", Population) if population.check in ("", self.id)
        )

    @property
    def parts(self) -> tuple[str, ...]:
        """The `[part]`s that plants and populations name, each with a null of its own; empty where none is named."""
        named = [part for population in self.populations for part in population.parts]
        named += [part for plant in self.plants for part in plant.parts]
        return tuple(dict.fromkeys(named))

    @property
    def null_file(self) -> Path:
        """Where its null distribution is stored: `baselines/null/`, or `null/` beside somebody else's module."""
        if self.module.startswith("cnnaudit."):
            from importlib import resources

            folder = Path(str(resources.files("cnnaudit.baselines"))) / "null"
        else:
            folder = Path(str(sys.modules[self.module].__file__)).parent / "null"
        return folder / f"{self.id}.json"

    def tolerance_at(self, profile: str) -> float:
        """The default tolerance at a profile."""
        return float(self.tolerance if isinstance(self.tolerance, (int, float)) else self.tolerance[profile])

    def is_gate(self, target: AuditTarget) -> bool:
        """Whether a failure on this target fails the run, before the target's file has its say."""
        return self.gate(target) if callable(self.gate) else self.gate

    def missing(self, target: AuditTarget) -> str:
        """Why the question cannot be asked of this target; empty where it can."""
        for need in self.needs:
            if need in ("train", "validation", "production") and need not in target.splits:
                return f"the target has no {need} images: set data.{need} in its file"
            if need == "metadata" and not any(
                split.metadata for name, split in target.splits.items() if name in LABELED
            ):
                return "the target has no metadata: set data.metadata in its file"
            if need == "previous" and target.previous is None:
                return "the file names no model to compare with: set [model.previous]"
            if need == "inside" and not target.inside:
                return target.inside_reason or "the model's inside cannot be observed"
        return ""

    def _beside(self, name: str, kind: type[T]) -> list[T]:
        """What the list of that name in the check's module holds."""
        return [item for item in getattr(sys.modules.get(self.module), name, ()) if isinstance(item, kind)]


def check(
    id: str = "",
    *,
    question: str,
    statistic: str,
    unit: str,
    direction: Direction,
    tolerance: float | Mapping[str, float],
    gate: bool | Callable[[AuditTarget], bool],
    remedy: str,
    reference: str,
    needs: tuple[Need, ...] = (),
    exact: bool = False,
    replaces: tuple[str, ...] = (),
) -> Callable[[Body], Check]:
    """Decorator: make a function `(context) -> Finding` a check.

    Args:
        id: `family.name`; without it, the last two parts of the module's name: `clinic/checks/scanner/brightness.py`
            holds `scanner.brightness`.
        replaces: ids of former checks whose entries in audit files now speak of this one.

    Raises:
        ValueError: a tolerance per profile leaves one out, or the id is no `family.name`.
    """

    def wrap(body: Body) -> Check:
        name = id or ".".join(body.__module__.split(".")[-2:])
        if not re.fullmatch(r"[A-Za-z]\w*\.[A-Za-z][\w+-]*", name, re.ASCII):
            raise ValueError(f"{name!r}: expected an id such as 'dataset.leakage', a family and a name")
        if isinstance(tolerance, Mapping) and set(tolerance) != set(PROFILES):
            raise ValueError(f"{name}: a tolerance per profile needs {sorted(PROFILES)}, got {sorted(tolerance)}")
        made = Check(
            name,
            question,
            statistic,
            unit,
            direction,
            tolerance,
            gate,
            remedy,
            reference,
            body,
            needs,
            exact,
            body.__module__,
            replaces,
        )
        # help() and doctest read the body's docstring; a frozen dataclass takes it through its __dict__
        made.__dict__.update(__doc__=body.__doc__, __name__=body.__name__, __module__=body.__module__)
        return made

    return wrap
