"""How a network is trained: every choice in one record, checked before any work is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import DataError
from cnnaudit.core.wording import nearest

if TYPE_CHECKING:
    import torch

#: Optimizer -> its usual learning rate (torch's default, and .01 for SGD with momentum .9).
OPTIMIZERS: Mapping[str, float] = {"sgd": 0.01, "adam": 1e-3, "adamw": 1e-3, "adadelta": 1.0, "rmsprop": 1e-3}

#: Schedule -> the factor of the learning rate at a share t of the training, in [0, 1).
SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,
    "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
    "linear": lambda t: 1 - t,
    "step": lambda t: 0.1 ** int(3 * t),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices of a training.

    Attributes:
        optimizer: `sgd` (momentum .9), `adam`, `adamw`, `adadelta` (rho .95) or `rmsprop`.
        learning_rate: None: the usual one of the optimizer, see `OPTIMIZERS`.
        schedule: of the learning rate: `constant`, `cosine` or `linear` to 0, `step`: divided by 10 after each third.
        weight_decay: of the optimizer; decoupled for `adamw`.
        dropout: rate of every dropout layer of the network; None: as it was built.
        shift: images are shifted by up to this share of their side, either way; their border is continued.
        flip: every second image, at random, is mirrored left to right.
        rotation: images are turned by up to so many degrees, either way.
        class_weights: whether every class counts alike in the loss, whatever its number of images.
        patience: stop after so many epochs without a lower validation loss, and return the best weights; None: never.
        first_layer: the first layer that is trained; those before it keep their weights (None: all are trained).
        anew: start from random weights (Glorot's); else go on from those that are there.
        seed: of the first weights, the order of the images, the augmentation and the dropout.

    Raises:
        DataError: a value is outside its range; the message names it.

    Example:
        >>> Plan(optimizer="adadelta", epochs=12).rate
        1.0
    """

    optimizer: str = "adam"
    learning_rate: float | None = None
    schedule: str = "constant"
    epochs: int = 10
    batch_size: int = 128
    weight_decay: float = 0.0
    dropout: float | None = None
    shift: float = 0.0
    flip: bool = False
    rotation: float = 0.0
    class_weights: bool = False
    patience: int | None = None
    first_layer: str | None = None
    anew: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
        ):
            if value not in known:
                raise DataError(f"{name} must be {', '.join(known)}, got {value!r}{nearest(str(value), known)}")
        for name, low, high in (
            ("epochs", 1, 100_000),
            ("batch_size", 1, 65_536),
            ("weight_decay", 0, 1),
            ("shift", 0, 0.5),
            ("rotation", 0, 180),
            ("seed", 0, 2**63 - 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise DataError(f"{name} must be {low} to {high}, got {getattr(self, name)!r}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise DataError(f"dropout must be at least 0 and below 1, got {self.dropout!r}")
        if not 0 < self.rate < math.inf or (self.patience is not None and self.patience < 1):
            raise DataError(f"learning_rate must be above 0 and patience at least 1, got {self.rate}, {self.patience}")

    @property
    def rate(self) -> float:
        """The learning rate at the start."""
        return OPTIMIZERS[self.optimizer] if self.learning_rate is None else self.learning_rate

    def rate_at(self, share: float) -> float:
        """The learning rate when that share of the steps is done."""
        return self.rate * SCHEDULES[self.schedule](share)

    @property
    def words(self) -> str:
        """The choices in one sentence.

        Example:
            >>> Plan(flip=True).words
            'adam at .001 (constant), 10 epochs in batches of 128, mirrored at random, seed 0'
        """
        rate = f"{self.rate:g}".removeprefix("0") if self.rate < 1 else f"{self.rate:g}"
        parts = [f"{self.optimizer} at {rate} ({self.schedule})"]
        parts += [f"{self.epochs} epochs in batches of {self.batch_size}"]
        if self.weight_decay:
            parts.append(f"weight decay {self.weight_decay:g}")
        if self.dropout is not None:
            parts.append(f"dropout {self.dropout:g}")
        if self.shift:
            parts.append(f"shifted by up to {100 * self.shift:g} % of the side")
        parts += ["mirrored at random"] * self.flip
        if self.rotation:
            parts.append(f"turned by up to {self.rotation:g} degrees")
        parts += ["classes weighted alike"] * self.class_weights
        if self.patience is not None:
            parts.append(f"stopped {self.patience} epochs after the lowest validation loss")
        if self.first_layer is not None:
            parts.append(f"trained from layer {self.first_layer} on")
        return ", ".join([*parts, f"seed {self.seed}"])


def optimizer_of(plan: Plan, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of a plan for these parameters."""
    from torch import optim

    arguments: dict[str, Any] = {"lr": plan.rate, "weight_decay": plan.weight_decay}
    kinds: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": lambda weights: optim.SGD(weights, momentum=0.9, **arguments),
        "adam": lambda weights: optim.Adam(weights, **arguments),
        "adamw": lambda weights: optim.AdamW(weights, **arguments),
        "adadelta": lambda weights: optim.Adadelta(weights, rho=0.95, eps=1e-8, **arguments),
        "rmsprop": lambda weights: optim.RMSprop(weights, alpha=0.9, **arguments),
    }
    return kinds[plan.optimizer](list(parameters))
