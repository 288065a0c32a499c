"""Train many models of one architecture as one computation."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.core.progress import draw_to, progress

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.training.stacked.loop import Outcome, Plan
    from cnnaudit.training.stacked.start import Start

_PART = 128  # models that one process trains at once: more gain nothing


@dataclass(frozen=True, eq=False)
class StackedResult:
    """M trained models of one architecture, all seeds of the first learning rate, then of the next.

    Attributes:
        seeds, learning_rates: int64 and float64 (M,), of each model.
        states: name -> tensor (M, ...), parameters and buffers, on the CPU.
        train_accuracy, validation_accuracy: float64 (M,), of the final weights over all images; validation is None
            where there was none. A diverged model answers nothing, so its accuracy is 0.
        outcome: of each model, `trained` (to the last epoch), `dead` (its answer stopped depending on the image),
            `diverged` (its loss was not finite) or `reached` (it stopped at the target accuracy).
        epochs: int64 (M,), epochs trained.
        history: float64 (M, epochs), accuracy on the batches as they were trained on; NaN after a model stopped.
        parameters: number of parameters of one model.
        seconds: wall time.
    """

    seeds: np.ndarray
    learning_rates: np.ndarray
    states: Mapping[str, torch.Tensor]
    train_accuracy: np.ndarray
    validation_accuracy: np.ndarray | None
    outcome: list[Outcome]
    epochs: np.ndarray
    history: np.ndarray
    parameters: int
    seconds: float
    architecture: Callable[[], nn.Module] = field(repr=False)

    def __len__(self) -> int:
        return len(self.seeds)

    def model(self, k: int) -> nn.Module:
        """Model k as a module on the CPU, in `eval()` mode."""
        from cnnaudit.training.stacked.start import build

        model = build(self.architecture)
        model.load_state_dict({name: value[k] for name, value in self.states.items()})
        return model.eval()


def train_stacked(
    architecture: Callable[[], nn.Module],
    data: tuple[Any, Any],
    *,
    validation: tuple[Any, Any] | None = None,
    seeds: int | Sequence[int] = 5,
    learning_rates: float | Sequence[float] = 0.01,
    epochs: int = 200,
    batch_size: int = 32,
    schedule: Literal["cosine", "constant"] = "cosine",
    target_accuracy: float | None = None,
    device: str = "cpu",
    jobs: int = 1,
    frozen: Sequence[str] = (),
    initial: Mapping[str, Any] | None = None,
    weight_decay: float = 0.0,
    order_seed: int = 0,
) -> StackedResult:
    """Train M = seeds x learning rates models of one architecture as one computation, each as `fit` trains it.

    Model (s, r) starts from the weights that `fit(seed=s)` draws and ends, up to rounding, where
    `fit(model, data, seed=s, learning_rate=r, order_seed=order_seed)` ends: Adam on the cross-entropy with the same
    schedule. The order of the images is shared by the stack: all models see the same batch at the same time, so what
    is computed from images alone is computed once. Seeds therefore differ in their initial weights only; vary
    `order_seed` to see what the order does.

    Minimum models (`cnnaudit.models.minimum`: one convolution, one pooling, dense layers) are computed by formulas of
    their own, 128 of them 30 times as fast as one by one, and faster. Any other architecture goes through
    `torch.func.vmap`: four times as fast with some hundred parameters, no faster with a hundred thousand. Models that
    will not change any more leave the stack. On a CPU everything runs in one thread (tiny steps get slower, not faster,
    when threads share them); `jobs` processes share the models, which pays from about 16 minimum models a process:
    fewer take as long as 16.

    Args:
        architecture: builds the module, which takes (N, C, H, W) and answers logits (N, K).
        data: images, float in [0, 1] or uint8, (N, C, H, W), and integer labels (N,) in 0..K-1; arrays or tensors.
        validation: the same, for `validation_accuracy` only.
        seeds: how many (0, 1, ...), or which.
        learning_rates: one, or several: each is tried with every seed.
        schedule: of the learning rate: `cosine`, half a period down to 0 over all epochs, or `constant`.
        target_accuracy: a model stops after the epoch in which its accuracy on the batches, and then on all training
            images, reaches this.
        device: `cpu`, or `cuda`.
        jobs: processes on the CPU, through joblib (`joblib.parallel_config` chooses another backend); -1: all cores.
        frozen: names of parameters that keep their initial value.
        initial: name of a parameter -> its initial value for all models, or (M, ...), one for each.
        weight_decay: decoupled weight decay per step (AdamW).
        order_seed: of the order of the images.

    Raises:
        DataError: images or labels that do not fit each other or the network, or hold NaN; a number out of its range.
        ModelError: no module, no logits (N, K), a parameter's name or shape that the network does not have, or an
            architecture that cannot be computed for many models at once.

    Source: D. Kingma and J. Ba, Adam: a method for stochastic optimization, 2015; I. Loshchilov and F. Hutter,
    Decoupled weight decay regularization, 2019.

    Example:
        >>> from cnnaudit.data import shapes
        >>> from cnnaudit.models import minimum
        >>> data = shapes("scaling", noise=0, inverted=False, n_per_class=20)
        >>> found = train_stacked(minimum, (data.images, data.labels), seeds=3, learning_rates=(0.01, 0.02), epochs=2)
        >>> len(found), found.parameters, found.history.shape
        (6, 16, (6, 2))
    """
    import torch

    from cnnaudit.training.stacked.start import start_of

    start_time = time.perf_counter()
    plan = _plan(epochs, batch_size, schedule, target_accuracy, weight_decay, order_seed)
    numbers, rates = _models(seeds, learning_rates)
    processes = _processes(jobs, device, len(numbers))
    with _one_thread():
        start = start_of(
            architecture, data, validation, numbers.tolist(), rates.tolist(), frozen, initial or {}, device
        )
        parts = _in_processes(start, plan, processes) if processes > 1 else [_train(start, plan)]
    return StackedResult(
        seeds=numbers,
        learning_rates=rates,
        states={name: torch.cat([part.states[name] for part in parts]) for name in parts[0].states},
        train_accuracy=np.concatenate([part.train_accuracy for part in parts]),
        validation_accuracy=np.concatenate([part.validation_accuracy for part in parts]) if validation else None,
        outcome=[outcome for part in parts for outcome in part.outcome],
        epochs=np.concatenate([part.epochs for part in parts]),
        history=np.concatenate([part.history for part in parts]),
        parameters=start.weights.shape[1],
        seconds=time.perf_counter() - start_time,
        architecture=architecture,
    )


@dataclass(frozen=True)
class _Part:
    """What one process found out about its models."""

    states: dict[str, torch.Tensor]
    train_accuracy: np.ndarray
    validation_accuracy: np.ndarray
    outcome: list[Outcome]
    epochs: np.ndarray
    history: np.ndarray


def _train(start: Start, plan: Plan) -> _Part:
    """Train and evaluate the models of a start, as one stack."""
    import torch

    from cnnaudit.training.stacked.any import AnyArchitecture, columns_of
    from cnnaudit.training.stacked.loop import Kernel, evaluate, train_stack
    from cnnaudit.training.stacked.minimum import MinimumModels, design_of
    from cnnaudit.training.stacked.start import build

    template = build(start.architecture).to(start.device)
    images, labels = start.data
    design = design_of(template)
    kernel: Kernel = (
        MinimumModels(template, design, images, labels) if design else AnyArchitecture(template, images, labels)
    )
    models, device = len(start.weights), torch.device(start.device)
    buffers = {name: value.expand(models, *value.shape).clone() for name, value in template.named_buffers()}
    columns = start.weights.to(device), start.rates.to(device), start.trainable.to(device)
    trained = train_stack(kernel, labels, columns[0], buffers, *columns[1:], plan)

    weights, own = trained.weights, trained.buffers
    accuracy, _ = evaluate(lambda rows: kernel.training_logits(weights, own, rows), labels)
    validation = np.empty(0)
    if start.validation:
        others, answers = start.validation
        validation = evaluate(lambda rows: kernel.logits(weights, own, others[rows]), answers)[0].cpu().numpy()
    return _Part(
        states={name: value.cpu() for name, value in {**columns_of(template, weights), **own}.items()},
        train_accuracy=accuracy.cpu().numpy(),
        validation_accuracy=validation,
        outcome=trained.outcome,
        epochs=trained.epochs.numpy(),
        history=trained.history.numpy(),
    )


def _train_part(start: Start, plan: Plan) -> _Part:
    """`_train` in a process of its own: one thread, no progress bar."""
    with _one_thread():
        draw_to(io.StringIO())
        try:
            return _train(start.opened(), plan)
        finally:
            draw_to(None)


def _in_processes(start: Start, plan: Plan, processes: int) -> list[_Part]:
    """The models shared among processes, their parts in order."""
    import joblib

    models = len(start.weights)
    run = joblib.Parallel(n_jobs=processes, return_as="generator")
    rounds = math.ceil(models / processes / _PART)
    parts = np.array_split(np.arange(models), min(models, rounds * processes))
    results = run(joblib.delayed(_train_part)(start.part(rows), plan) for rows in parts)
    return list(progress(results, f"training {models} models", total=len(parts)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch: sharing steps this small costs far more than it gains."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _plan(
    epochs: int,
    batch_size: int,
    schedule: str,
    target_accuracy: float | None,
    weight_decay: float,
    order_seed: int,
) -> Plan:
    """The numbers of a run, checked."""
    from cnnaudit.training.stacked.loop import Plan

    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise DataError(f"train_stacked: {name} must be a whole number of at least 1, got {value!r}")
    if schedule not in ("cosine", "constant"):
        raise DataError(f"train_stacked: schedule must be 'cosine' or 'constant', got {schedule!r}")
    if target_accuracy is not None and not 0 < target_accuracy <= 1:
        raise DataError(f"train_stacked: target_accuracy must be in (0, 1], got {target_accuracy!r}")
    if not (weight_decay >= 0 and math.isfinite(weight_decay)):
        raise DataError(f"train_stacked: weight_decay must be 0 or more, got {weight_decay!r}")
    return Plan(epochs, batch_size, schedule, target_accuracy, weight_decay, order_seed)


def _models(seeds: int | Sequence[int], rates: float | Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Seed and learning rate of each model, all seeds of the first rate, then of the next."""
    chosen = np.arange(seeds) if isinstance(seeds, (int, np.integer)) else np.asarray(seeds)
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu" or chosen.min() < 0:
        raise DataError(
            f"train_stacked: seeds must be a number of at least 1, or whole numbers from 0 up, got {seeds!r}"
        )
    steps = np.atleast_1d(np.asarray(rates, dtype=np.float64))
    if steps.ndim != 1 or not len(steps) or not (np.isfinite(steps) & (steps >= 0)).all():
        raise DataError(f"train_stacked: learning_rates must be finite numbers of 0 or more, got {rates!r}")
    return np.tile(chosen.astype(np.int64), len(steps)), np.repeat(steps, len(chosen))


def _processes(jobs: int, device: str, models: int) -> int:
    """How many processes share the models."""
    import joblib

    if not isinstance(jobs, (int, np.integer)) or jobs < -1 or jobs == 0:
        raise DataError(f"train_stacked: jobs must be 1 or more, or -1 for all cores, got {jobs!r}")
    if jobs != 1 and device != "cpu":
        raise DataError(f"train_stacked: jobs={jobs} shares models among CPU processes; on {device!r} leave it at 1")
    return min(joblib.cpu_count() if jobs == -1 else jobs, models)
