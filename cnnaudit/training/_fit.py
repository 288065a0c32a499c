"""Train one network, the same way every time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnnaudit.core.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import nn


def fit(
    model: nn.Module,
    data: tuple[Any, Any],
    epochs: int = 200,
    batch_size: int = 32,
    learning_rate: float = 0.01,
    schedule: Literal["cosine", "constant"] = "cosine",
    seed: int = 0,
    initialize: bool = True,
    weight_decay: float = 0.0,
    transform: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None,
    order_seed: int | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> list[dict[str, float]]:
    """Train a classifier in place by Adam on the cross-entropy, deterministic by seed, on its own device.

    Weights start from Glorot's uniform distribution U(-a, a), a = sqrt(6 / (fan_in + fan_out)), biases from zero. The
    rate follows learning_rate * (1 + cos(pi t / T)) / 2 over the T steps of the run, or stays constant.
    The random state of torch is not touched. For networks of a few hundred parameters call `torch.set_num_threads(1)`
    first: sharing such tiny steps among threads costs far more than it gains.

    Args:
        model: takes (N, C, H, W), answers logits (N, K); left in `eval()` mode.
        data: images, float in [0, 1] or uint8, (N, C, H, W), and integer labels (N,); arrays or tensors.
        seed: of the initialization, the order of the images and `transform`'s generator.
        initialize: False: go on from the weights that are there.
        weight_decay: decoupled weight decay per step (AdamW).
        transform: changes each batch of images before the step (augmentation), given a generator.
        order_seed: of the order of the images alone, as `train_stacked` has it; None: `seed` decides it too.
        after_epoch: called with the number of epochs done, 0 before the first step: the place to keep checkpoints.

    Returns:
        Per epoch, the mean `loss` and the `accuracy` on the batches as they were trained on.

    Raises:
        DataError: images and labels differ in number, or there are none.

    Source: X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010.

    Example:
        >>> from cnnaudit.data import shapes
        >>> from cnnaudit.models import minimum
        >>> data = shapes("scaling", noise=0, inverted=False, n_per_class=20)
        >>> len(fit(minimum(), (data.images, data.labels), epochs=2))
        2
    """
    import torch
    from torch.nn import functional

    device = next(model.parameters()).device
    images, labels = tensors(data, device, "fit")
    rng = torch.Generator().manual_seed(seed)
    order = rng if order_seed is None else torch.Generator().manual_seed(order_seed)
    if initialize:
        glorot(model, rng)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    steps = epochs * math.ceil(len(images) / batch_size)
    history = []
    step = 0
    model.train()
    for epoch in range(epochs):
        if after_epoch and not epoch:
            after_epoch(0)
        loss_sum, correct = torch.zeros((), device=device), torch.zeros((), device=device)
        for indices in torch.randperm(len(images), generator=order).to(device).split(batch_size):  # type: ignore[no-untyped-call]
            if schedule == "cosine":
                optimizer.param_groups[0]["lr"] = learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
            batch, target = images[indices], labels[indices]
            logits = model(transform(batch, rng) if transform else batch)
            loss = functional.cross_entropy(logits, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss_sum += loss.detach() * len(batch)
            correct += (logits.detach().argmax(1) == target).sum()
            step += 1
        history.append({"loss": float(loss_sum) / len(images), "accuracy": float(correct) / len(images)})
        if after_epoch:
            after_epoch(epoch + 1)
    model.zero_grad(set_to_none=True)
    model.eval()
    return history


def glorot(model: nn.Module, rng: torch.Generator) -> None:
    """Draw the weights of every convolution and linear layer from Glorot's uniform distribution; biases become 0."""
    import torch
    from torch import nn

    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
            weight = torch.empty(module.weight.shape)
            nn.init.xavier_uniform_(weight, generator=rng)
            with torch.no_grad():
                module.weight.copy_(weight)
                if module.bias is not None:
                    module.bias.zero_()


def tensors(data: tuple[Any, Any], device: torch.device, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images as float32 and labels as int64 on the device; `name` is the function that messages speak of."""
    import torch

    images, labels = (part if isinstance(part, torch.Tensor) else torch.as_tensor(np.asarray(part)) for part in data)
    if len(images) != len(labels) or not len(images):
        raise DataError(f"{name}: expected as many labels as images, got {len(images)} images and {len(labels)} labels")
    if images.dtype == torch.uint8:
        images = images.float() / 255
    return images.to(device, torch.float32), labels.to(device, torch.int64)
