"""The gradients of many models of any architecture at once, by `torch.func.vmap`."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional

from cnnaudit.core.errors import ModelError
from cnnaudit.core.wording import one_line

Buffers = dict[str, torch.Tensor]


class AnyArchitecture:
    """A stack of models that share one module: model m's parameters are row m of a matrix (M, P).

    Args:
        template: the module; its own parameters are not used, its training mode is.
        images, labels: the training data, (N, C, H, W) and (N,), on the template's device.
    """

    def __init__(self, template: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
        self._template, self._images, self._labels = template, images, labels

    def step(
        self, weights: torch.Tensor, buffers: Buffers, indices: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean cross-entropy (M,), logits (M, B, K) and gradient (M, P) of one batch; updates the buffers."""
        leaf = weights.detach().requires_grad_()
        logits = self._forward(leaf, buffers, self._images[indices], training=True)
        losses = cross_entropy(logits, self._labels[indices])
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), logits.detach(), gradient

    def training_logits(self, weights: torch.Tensor, buffers: Buffers, rows: slice) -> torch.Tensor:
        """Logits (M, n, K) of training images, in evaluation mode."""
        return self.logits(weights, buffers, self._images[rows])

    @torch.no_grad()
    def logits(self, weights: torch.Tensor, buffers: Buffers, images: torch.Tensor) -> torch.Tensor:
        """Logits (M, n, K) of other images, in evaluation mode."""
        return self._forward(weights, buffers, images, training=False)

    def _forward(self, weights: torch.Tensor, buffers: Buffers, images: torch.Tensor, training: bool) -> torch.Tensor:
        def call(parameters: Buffers, own: Buffers) -> torch.Tensor:
            answer: torch.Tensor = functional_call(self._template, (parameters, own), (images,))
            return answer

        self._template.train(training)
        try:
            stacked: torch.Tensor = vmap(call, randomness="different")(columns_of(self._template, weights), buffers)
        except RuntimeError as error:
            raise ModelError(
                "train_stacked: this architecture cannot be computed for many models at once (torch.func.vmap says: "
                f"{one_line(error)}); train its seeds one by one with `fit`"
            ) from error
        return stacked


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of each model, (M,), from logits (M, B, K) and the labels (B,) that they share."""
    models, batch, _ = logits.shape
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.repeat(models), reduction="none")
    return losses.view(models, batch).mean(1)


def columns_of(template: nn.Module, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """The columns of (M, P) as views by parameter: name -> (M, *shape), in the order of `named_parameters`."""
    found, position = {}, 0
    for name, parameter in template.named_parameters():
        columns = weights[:, position : position + parameter.numel()]
        found[name] = columns.view(len(weights), *parameter.shape)
        position += parameter.numel()
    return found
