"""The model that this one replaces: `[model.previous]` of an audit file, read and loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import AuditError
from cnnaudit.target import AuditTarget, InputSpec
from cnnaudit.target.config_keys import KEYS, NORMALIZATION_KEYS, PREVIOUS_KEYS, read_table
from cnnaudit.target.config_text import shown
from cnnaudit.target.model_sources import ModelSource, load

if TYPE_CHECKING:
    import torch

WHERE = "model.previous"


@dataclass(frozen=True, slots=True)
class PreviousModel:
    """A valid `[model.previous]`; nothing of it is loaded.

    Attributes:
        model: its source; `class_indices` puts its logits into the order of `data.classes`.
        input: the file's `[input]`, with the normalization of the previous model.
    """

    model: ModelSource
    input: InputSpec

    @classmethod
    def of(
        cls, table: Mapping[str, Any], image: Mapping[str, Any], data: Mapping[str, Any], problems: list[str]
    ) -> PreviousModel | None:
        """The previous model of a table that `read_previous` gave; None where there are problems.

        Args:
            image, data: the values of `[input]` and `[data]`.
        """
        indices = _class_indices(table["classes"], data, problems)
        for key in ("mean", "std"):
            if (count := len(table["input"].get(key, (0,)))) not in (1, image["channels"]):
                problems.append(
                    f"{WHERE}.input.{key}: expected one number, or {image['channels']}, one per channel, got {count}"
                )
        if problems:
            return None
        values = {field.name: table[field.name] for field in fields(ModelSource) if field.name in table}
        return cls(ModelSource(**values, class_indices=indices), InputSpec(**{**image, **table["input"]}))


def without_previous(model: Any) -> Any:
    """The `[model]` table without the table `previous` in it."""
    return {name: value for name, value in model.items() if name != "previous"} if isinstance(model, dict) else model


def read_previous(model: Any, problems: list[str]) -> dict[str, Any] | None:
    """The values of `[model.previous]`, None where the file has no such table; what is wrong is added to `problems`.

    Its `input` is that of the file where it names none.
    """
    if not isinstance(model, dict) or "previous" not in model:
        return None
    values = read_table(WHERE, model["previous"], PREVIOUS_KEYS, problems)
    given = values["input"] or {}
    for name in KEYS["input"].keys() - NORMALIZATION_KEYS.keys():
        if name in given:
            problems.append(
                f"{WHERE}.input.{name}: both models are asked about the same images, as [input] makes them; leave it "
                "out, or audit the previous model on its own and use `cnnaudit compare`"
            )
    known = {name: value for name, value in given.items() if name not in KEYS["input"] or name in NORMALIZATION_KEYS}
    read = read_table(f"{WHERE}.input", known, NORMALIZATION_KEYS, problems)
    return {**values, "input": read if values["input"] is not None else {}}


def load_previous(target: AuditTarget, previous: PreviousModel, images: torch.Tensor, folder: Path) -> AuditTarget:
    """The previous model with the target's data, asked for a first answer to two images.

    Args:
        folder: the audit file's.

    Raises:
        ModelError: it cannot be loaded, or does not answer the target's classes for the target's images.
    """
    from cnnaudit.target.probe import probe

    try:
        loaded = load(previous.model, previous.input, folder)
        probe(loaded.model, images.to(loaded.device), previous.model, previous.input, target.classes)
    except AuditError as error:
        key = rf"\bmodel\.(?=(?:{'|'.join(KEYS['model'])})\b)"  # messages speak of [model]
        raise type(error)(f"[{WHERE}]: {re.sub(key, f'{WHERE}.', str(error))}") from error
    return AuditTarget(
        name=previous.model.name,
        model=loaded.model,
        classes=target.classes,
        input=previous.input,
        splits=target.splits,
        device=loaded.device,
        batch_size=previous.model.batch_size,
    )


def _class_indices(
    classes: tuple[str, ...] | None, data: Mapping[str, Any], problems: list[str]
) -> tuple[int, ...] | None:
    """Where the previous model has the logit of each class of `data.classes`; None: in the same places."""
    current: tuple[str, ...] = data["classes"]
    indices: tuple[int, ...] | None = data["class_indices"]
    if classes is None or not current:
        return indices
    if indices:
        problems.append(f"{WHERE}.classes: leave it out, data.class_indices says where both models have each logit")
    elif sorted(classes) != sorted(current):
        problems.append(
            f"{WHERE}.classes = {shown(list(classes))}: expected the names of data.classes, {shown(list(current))}, in "
            "the order of the previous model's logits; models of different classes cannot be compared"
        )
    else:
        return tuple(classes.index(name) for name in current)
    return indices
