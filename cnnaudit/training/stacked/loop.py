"""Adam on a stack of models, which shrinks as models finish, die or diverge."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch

from cnnaudit.core.progress import progress

Outcome = Literal["trained", "dead", "diverged", "reached"]
Buffers = dict[str, torch.Tensor]

#: For so many steps the logits of a model must not have depended on the image, as the first batch of each epoch shows,
#: before it counts as dead. Adam's momentum has decayed to 0.9**100 = 3e-5 by then: a silent ReLU stays silent.
DEAD_STEPS = 100
_EVALUATED_AT_ONCE = 250


class Kernel(Protocol):
    """How losses and gradients of all models of a stack are computed; parameters are the rows of `weights` (M, P)."""

    def step(
        self, weights: torch.Tensor, buffers: Buffers, indices: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean cross-entropy (M,), logits (M, B, K), gradient (M, P) of the batch at those positions."""

    def training_logits(self, weights: torch.Tensor, buffers: Buffers, rows: slice) -> torch.Tensor:
        """Logits (M, n, K) of training images, in evaluation mode."""

    def logits(self, weights: torch.Tensor, buffers: Buffers, images: torch.Tensor) -> torch.Tensor:
        """Logits (M, n, K) of other images, in evaluation mode."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast a stack is trained; the fields are `train_stacked`'s arguments."""

    epochs: int
    batch_size: int
    schedule: str
    target_accuracy: float | None
    weight_decay: float
    order_seed: int


@dataclass
class Stack:
    """The models in training: `rows` are their positions among all models, the rest has one row for each."""

    rows: torch.Tensor
    weights: torch.Tensor
    rates: torch.Tensor
    buffers: Buffers
    first: torch.Tensor = field(init=False)
    second: torch.Tensor = field(init=False)
    constant_steps: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.first, self.second = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self.constant_steps = torch.zeros(len(self.rows), device=self.rows.device)

    def keep(self, kept: torch.Tensor) -> None:
        """Go on with the models where the mask `kept` (m,) is true."""
        for name in ("rows", "weights", "rates", "first", "second", "constant_steps"):
            setattr(self, name, getattr(self, name)[kept])
        self.buffers = {name: value[kept] for name, value in self.buffers.items()}


@dataclass(frozen=True)
class Trained:
    """What became of M models: final parameters (M, P) and buffers, outcome, epochs trained, accuracy (M, epochs)."""

    weights: torch.Tensor
    buffers: Buffers
    outcome: list[Outcome]
    epochs: torch.Tensor
    history: torch.Tensor


def train_stack(
    kernel: Kernel,
    labels: torch.Tensor,
    weights: torch.Tensor,
    buffers: Buffers,
    rates: torch.Tensor,
    trainable: torch.Tensor,
    plan: Plan,
) -> Trained:
    """Train models whose parameters start as the rows of `weights`; columns where `trainable` (P,) is 0 stay.

    The batches are the same for all models: their order is drawn from `plan.order_seed`. After each epoch, models
    leave the stack that diverged (their loss is not finite), died (`DEAD_STEPS`) or reached the target accuracy.
    """
    models, device = len(weights), weights.device
    stack = Stack(torch.arange(models, device=device), weights.clone(), rates[:, None].to(device), dict(buffers))
    result = Trained(
        weights.clone(),
        {name: value.clone() for name, value in buffers.items()},
        ["trained"] * models,
        torch.zeros(models, dtype=torch.int64),
        torch.full((models, plan.epochs), math.nan, dtype=torch.float64),
    )
    order = torch.Generator().manual_seed(plan.order_seed)
    for epoch in progress(range(plan.epochs), f"training {models} models", total=plan.epochs):
        batches = torch.randperm(len(labels), generator=order).to(device).split(plan.batch_size)  # type: ignore[no-untyped-call]
        finite, accuracy = _epoch(kernel, stack, labels, batches, trainable, plan, epoch)
        rows = stack.rows.cpu()
        result.history[rows, epoch], result.epochs[rows] = accuracy.cpu(), epoch + 1
        last = epoch + 1 == plan.epochs
        ending = _endings(kernel, stack, labels, finite, accuracy, plan.target_accuracy, last)
        _store(
            result, stack, torch.ones_like(finite) if last else torch.tensor([bool(e) for e in ending], device=device)
        )
        for row, outcome in zip(rows.tolist(), ending):
            result.outcome[row] = outcome or "trained"
        stack.keep(torch.tensor([not e for e in ending], device=device))
        if not len(stack.rows):
            break
    return result


def _epoch(
    kernel: Kernel,
    stack: Stack,
    labels: torch.Tensor,
    batches: tuple[torch.Tensor, ...],
    trainable: torch.Tensor,
    plan: Plan,
    epoch: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One pass over the data: which models' losses stayed finite, and their accuracy on the batches as trained on."""
    models, device = len(stack.rows), stack.rows.device
    loss_sum, correct = torch.zeros(models, device=device), torch.zeros(models, device=device)
    for number, indices in enumerate(batches):
        step = epoch * len(batches) + number
        losses, logits, gradient = kernel.step(stack.weights, stack.buffers, indices)
        factor = (1 + math.cos(math.pi * step / (plan.epochs * len(batches)))) / 2 if plan.schedule == "cosine" else 1.0
        _adam(stack, gradient * trainable, stack.rates * factor, trainable, step + 1, plan.weight_decay)
        loss_sum += losses * len(indices)
        correct += (logits.max(2).indices == labels[indices]).sum(1)
        if not number:
            varied = _varies(logits)
    stack.constant_steps = torch.where(varied, 0, stack.constant_steps + len(batches))
    finite = loss_sum.isfinite() & stack.weights.isfinite().all(1)
    return finite, correct.double() / sum(map(len, batches))


def _varies(logits: torch.Tensor) -> torch.Tensor:
    """Which models' logits (M, B, K) differ between images, by more than rounding; NaN varies."""
    spread = (logits - logits[:, :1]).abs().amax((1, 2))
    return ~(spread <= 1e-6 * logits.abs().amax((1, 2)))


def _adam(
    stack: Stack,
    gradient: torch.Tensor,
    rates: torch.Tensor,
    trainable: torch.Tensor,
    step: int,
    weight_decay: float,
) -> None:
    """`torch.optim.AdamW`'s step on all models at once, rates (M, 1)."""
    if weight_decay:
        stack.weights *= 1 - rates * weight_decay * trainable
    stack.first.lerp_(gradient, 0.1)
    stack.second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    scale = (stack.second.sqrt() / math.sqrt(1 - 0.999**step)).add_(1e-8)
    stack.weights.addcdiv_(stack.first * (rates / -(1 - 0.9**step)), scale)


def _endings(
    kernel: Kernel,
    stack: Stack,
    labels: torch.Tensor,
    finite: torch.Tensor,
    accuracy: torch.Tensor,
    target: float | None,
    last: bool,
) -> list[Outcome | None]:
    """Why each model of the stack leaves it now; None: it stays, or this was the last epoch."""
    ending: list[Outcome | None] = [None if ok else "diverged" for ok in finite.tolist()]
    dead = (stack.constant_steps >= (1 if last else DEAD_STEPS)) & finite
    reached = (accuracy >= target) & finite if target is not None else torch.zeros_like(dead)
    asked = torch.nonzero(dead | reached)[:, 0]  # the batches' accuracy lags behind: these are looked at closely
    if len(asked):
        weights, buffers = stack.weights[asked], {name: value[asked] for name, value in stack.buffers.items()}
        share, constant = evaluate(lambda rows: kernel.training_logits(weights, buffers, rows), labels)
        for position, right, same in zip(asked.tolist(), share.tolist(), constant.tolist()):
            if target is not None and right >= target:
                ending[position] = "reached"
            elif same and dead[position]:
                ending[position] = "dead"
    return ending


def _store(result: Trained, stack: Stack, mask: torch.Tensor) -> None:
    """Copy the parameters of the models where `mask` (m,) is true to their places in the result."""
    rows = stack.rows[mask]
    result.weights[rows] = stack.weights[mask]
    for name, value in stack.buffers.items():
        result.buffers[name][rows] = value[mask]


def evaluate(ask: Callable[[slice], torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Accuracy of each model, (M,), and whether its logits are the same for all images, (M,).

    `ask` gives the logits (M, n, K) of some images. A model whose logits are not finite gives no answer: it is wrong.
    """
    first = ask(slice(0, 1))
    correct = torch.zeros(len(first), dtype=torch.int64, device=first.device)
    constant = torch.ones(len(first), dtype=torch.bool, device=first.device)
    for start in range(0, len(labels), _EVALUATED_AT_ONCE):
        rows = slice(start, start + _EVALUATED_AT_ONCE)
        logits = ask(rows)
        correct += ((logits.max(2).indices == labels[rows]) & logits.isfinite().all(2)).sum(1)
        constant &= ~_varies(torch.cat([first, logits], 1))
    return correct.double() / len(labels), constant
