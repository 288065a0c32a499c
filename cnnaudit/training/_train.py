"""Train a classifier on the splits of a target: validated and kept after every epoch, and resumed to the same weights.

Every epoch draws from a seed of its own, and an epoch that was cut off is done again from its beginning: a training
that was interrupted ends, on the same machine, at the very weights of one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.errors import DataError, ModelError
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import derive_seed
from cnnaudit.training._fit import glorot
from cnnaudit.training.augmentation import augmentation
from cnnaudit.training.checkpoints import Checkpoints, fingerprint
from cnnaudit.training.course import Course, Epoch
from cnnaudit.training.frozen_layers import trained_part
from cnnaudit.training.plan import Plan, optimizer_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import Split


def train(
    model: nn.Module,
    training: Split,
    validation: Split,
    plan: Plan,
    folder: Path | None = None,
    device: str = "cpu",
    after_epoch: Callable[[Epoch], None] | None = None,
) -> Course:
    """Train a classifier in place and validate it after every epoch; deterministic by `plan.seed`.

    The loss is the cross-entropy; with `plan.class_weights` each image weighs N / (K n_k), n_k the images of its class.

    Args:
        model: takes (N, C, H, W) in [0, 1], answers logits (N, K); left in `eval()` mode on that device.
        training, validation: splits, as targets have them (`cnnaudit.target.arrays.ArraySplit` makes one of arrays).
        folder: keeps the weights after each epoch there, and goes on from what it holds; None: nothing is kept.
        after_epoch: called with the numbers of each epoch, those that were resumed included.

    Raises:
        DataError: a class has no training image; the folder belongs to another training; no layer of that name.
        ModelError: the loss is no longer finite.

    Source: M. Zeiler, ADADELTA, 2012; D. Kingma and J. Ba, Adam, 2015; I. Loshchilov and F. Hutter, AdamW, 2019;
    T. Tieleman and G. Hinton, RMSprop, 2012.

    Example:
        >>> from cnnaudit.data import digits
        >>> from cnnaudit.models import lenet
        >>> from cnnaudit.target.arrays import ArraySplit
        >>> data = digits("validation")
        >>> split = ArraySplit("train", data.images, data.labels, 10)
        >>> train(lenet((4, 4), 8), split, split, Plan(epochs=1)).epochs[0].number
        1
    """
    import torch

    _every_class(training, validation)
    parameters, frozen = trained_part(model, plan.first_layer)
    if plan.dropout is not None:
        _set_dropout(model, plan.dropout)
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(derive_seed(plan.seed, "weights"))
        if plan.anew:
            _start_anew(model, plan.seed, frozen)
        model.to(device)
        kept = Checkpoints(folder, fingerprint(model, training, validation, plan)) if folder else None
        run = _Run(model, parameters, frozen, training, validation, plan, device)
        epochs = run.go(kept, after_epoch)
    return epochs


class _Run:
    """The state of one training."""

    def __init__(
        self,
        model: nn.Module,
        parameters: list[nn.Parameter],
        frozen: list[nn.Module],
        training: Split,
        validation: Split,
        plan: Plan,
        device: str,
    ) -> None:
        import torch

        self.model, self.parameters, self.frozen = model, parameters, frozen
        self.training, self.validation, self.plan, self.device = training, validation, plan, device
        self.optimizer = optimizer_of(plan, parameters)
        counts = np.bincount(training.labels)
        weights = len(training.labels) / (len(counts) * counts) if plan.class_weights else np.ones(len(counts))
        self.weights = torch.tensor(weights, dtype=torch.float32, device=device)
        self.batches = math.ceil(len(training.labels) / plan.batch_size)

    def go(self, kept: Checkpoints | None, after_epoch: Callable[[Epoch], None] | None) -> Course:
        """All epochs that are missing."""
        import torch

        epochs, best = kept.resume(self.model, self.optimizer) if kept else ([], None)
        if after_epoch:
            for epoch in epochs:
                after_epoch(epoch)
        left = range(len(epochs), self.plan.epochs)
        steps = progress(self._steps(left), "training", total=len(left) * self.batches)
        predicted: torch.Tensor | None = None
        for number in left:
            if self._stopped(epochs):
                break
            torch.manual_seed(derive_seed(self.plan.seed, "epoch", number))
            loss, accuracy = self._epoch(number, steps)
            validation_loss, predicted = evaluate(self.model, self.validation, self.device, self.plan.batch_size)
            right = float((predicted.numpy() == self.validation.labels).mean())
            rate = self.plan.rate_at(number / self.plan.epochs)
            epochs.append(Epoch(number + 1, loss, accuracy, validation_loss, right, rate))
            if self.plan.patience is not None and validation_loss <= min(one.validation_loss for one in epochs):
                best = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
            if kept:
                kept.keep(self.model, self.optimizer, epochs, best)
            if after_epoch:
                after_epoch(epochs[-1])
        del steps  # ends its bar
        if best is not None:
            self.model.load_state_dict(best)
        if predicted is None or best is not None:
            _, predicted = evaluate(self.model, self.validation, self.device, self.plan.batch_size)
        self.model.zero_grad(set_to_none=True)
        self.model.eval()
        chosen = min(epochs, key=lambda one: one.validation_loss) if best is not None else epochs[-1]
        return Course(self.plan, tuple(epochs), chosen.number, predicted.numpy())

    def _steps(self, epochs: range) -> Iterator[tuple[int, int]]:
        yield from ((epoch, step) for epoch in epochs for step in range(self.batches))

    def _stopped(self, epochs: list[Epoch]) -> bool:
        """Whether the validation loss has not fallen for `patience` epochs."""
        if self.plan.patience is None or not epochs:
            return False
        losses = [one.validation_loss for one in epochs]
        return len(losses) - 1 - int(np.argmin(losses)) >= self.plan.patience

    def _epoch(self, number: int, steps: Iterator[tuple[int, int]]) -> tuple[float, float]:
        """Mean loss and accuracy over the batches of one epoch, as they were trained on."""
        import torch
        from torch.nn import functional

        self.model.train()
        for module in self.frozen:
            module.training = False
        order = torch.randperm(len(self.training.labels)).numpy()
        loss_sum, right = 0.0, 0
        change = None
        size = self.plan.batch_size
        for step, rows in enumerate(np.array_split(order, range(size, len(order), size))):
            next(steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.plan.rate_at((number + step / self.batches) / self.plan.epochs)
            images = self.training.read(rows)
            if change is None:
                change = augmentation(self.plan, (images.shape[2], images.shape[3])) or (lambda batch: batch)
            labels = torch.from_numpy(np.asarray(self.training.labels)[rows]).to(self.device)
            logits = self.model(change(images).to(self.device))
            loss = functional.cross_entropy(logits, labels, weight=self.weights)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise ModelError(
                    f"the loss became {value} in epoch {number + 1}, step {step + 1}; lower the learning rate "
                    f"(it is {self.plan.rate:g})"
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            loss_sum += value * len(rows)
            right += int((logits.detach().argmax(1) == labels).sum())
        return loss_sum / len(order), right / len(order)


def evaluate(model: nn.Module, split: Split, device: str = "cpu", batch_size: int = 128) -> tuple[float, torch.Tensor]:
    """The mean cross-entropy on a split, and the predicted classes (N,), in evaluation mode."""
    import torch
    from torch.nn import functional

    model.eval()
    loss, predicted = 0.0, []
    labels = torch.from_numpy(np.asarray(split.labels))
    with torch.no_grad():
        for rows in torch.arange(len(labels)).split(batch_size):  # type: ignore[no-untyped-call]
            logits = model(split.read(rows.numpy()).to(device)).cpu()
            loss += float(functional.cross_entropy(logits, labels[rows], reduction="sum"))
            predicted.append(logits.argmax(1))
    return loss / len(labels), torch.cat(predicted)


def _every_class(training: Split, validation: Split) -> None:
    counts = np.bincount(training.labels, minlength=int(validation.labels.max()) + 1)
    if not counts.all():
        missing = np.flatnonzero(counts == 0).tolist()
        raise DataError(f"train: no image of the classes {missing} (counted from 0); add some or leave these out")


def _set_dropout(model: nn.Module, rate: float) -> None:
    from torch import nn

    layers = [module for module in model.modules() if isinstance(module, (nn.Dropout, nn.Dropout1d, nn.Dropout2d))]
    if not layers:
        raise DataError(f"dropout = {rate:g}: the network has no dropout layer (torch.nn.Dropout); leave it out")
    for layer in layers:
        layer.p = rate


def _start_anew(model: nn.Module, seed: int, frozen: list[nn.Module]) -> None:
    """Random weights in every layer that is trained: Glorot's for convolutions and linear layers, as Keras has them."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(derive_seed(seed, "glorot"))
    for module in (module for module in model.modules() if module not in set(frozen)):
        reset: Any = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
            glorot(module, generator)
