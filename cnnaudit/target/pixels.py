"""The user's network, taking pixels in [0, 1] and answering logits, under the user's own layer names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cnnaudit.core.errors import ModelError
from cnnaudit.target import InputSpec
from cnnaudit.target.answers import logits_of

_ROUNDING = 1e-3


class PixelModel(nn.Module):
    """The user's network with its preprocessing in front and its classes picked behind.

    `forward` computes `x = (order(pixels) * scale - mean) / std`, asks the network, takes the logits of the
    classes and, for probabilities, their logarithm: logits up to a constant per image; for a sigmoid's, their log-odds.
    One logit z for two classes becomes (-z / 2, z / 2), whose softmax is its sigmoid. `mean` and `std` are in the units
    after `scale`, their entries in the network's channel order. Where the network answers more than its logits, see
    `cnnaudit.target.answers.logits_of`.

    The network's registry of modules, parameters and buffers is this module's too, so `named_modules()` and
    `state_dict()` give the user's names, without a prefix.

    Args:
        network: takes (N, C, H, W), answers (N, M).
        spec: its channel order, scale, mean and std.
        class_indices: for each class, the position of its logit in the answer; None: M = K, in order.
        outputs: what the network answers, see `ModelSource.outputs`.
        batch: the only batch size that the network takes; None: any. Batches are cut and filled up to it.

    Shapes: float (N, C, H, W) in [0, 1] to float (N, K).

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> model = PixelModel(net, InputSpec(channels=1, size=(2, 2), mean=(0.5,)))
        >>> [name for name, _ in model.named_modules()]
        ['', '0', '1']
        >>> model(torch.rand(3, 1, 2, 2)).shape
        torch.Size([3, 2])
    """

    _audited: nn.Module

    def __init__(
        self,
        network: nn.Module,
        spec: InputSpec,
        class_indices: tuple[int, ...] | None = None,
        outputs: str = "logits",
        batch: int | None = None,
    ) -> None:
        super().__init__()
        self.__dict__["_audited"] = network  # not through __setattr__, which would register it and prefix its names
        for registry in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
            self.__dict__[registry] = network.__dict__[registry]
        self._spec, self._class_indices, self._outputs, self._batch = spec, class_indices, outputs, batch
        self._mean = torch.tensor(spec.mean).view(1, -1, 1, 1)
        self._std = torch.tensor(spec.std).view(1, -1, 1, 1)
        self._layout = torch.contiguous_format
        self.training = network.training

    def set_layout(self, layout: torch.memory_format) -> PixelModel:
        """Keep the network's 4-d weights, and give it its images, in that memory layout."""
        self._layout = layout
        return self.to(memory_format=layout)

    @property
    def network(self) -> nn.Module:
        """The user's network as it is."""
        return self._audited

    @property
    def batch(self) -> int | None:
        """The only batch size that the network takes; None: any."""
        return self._batch

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles adopt a copy of the network, so that both keep sharing one registry."""
        arguments = (self._audited, self._spec, self._class_indices, self._outputs, self._batch)
        return type(self), arguments, {"_layout": self._layout}

    def train(self, mode: bool = True) -> PixelModel:
        """Put the network into training or evaluation mode; an exported one has its mode built in."""
        self.training = mode
        try:
            self._audited.train(mode)
        except NotImplementedError:
            for module in self._audited.modules():
                module.training = mode
        return self

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) of pixels (N, C, H, W) in [0, 1]."""
        answer = self.answer(pixels)
        if answer.ndim == 1:
            answer = answer[:, None]
        if self._class_indices is not None:
            answer = answer[:, list(self._class_indices)]
        if self._outputs in ("probabilities", "sigmoid"):
            require_probabilities(answer, self._outputs)
        if self._outputs == "probabilities":
            answer = answer.clamp_min(torch.finfo(answer.dtype).tiny).log()
        if self._outputs == "sigmoid":
            answer = torch.logit(answer, torch.finfo(answer.dtype).eps)
        if self._outputs == "binary" or (self._outputs == "sigmoid" and answer.shape[1] == 1):
            answer = torch.cat([-answer, answer], dim=1) / 2
        logits: torch.Tensor = answer
        return logits

    def answer(self, pixels: torch.Tensor) -> Any:
        """The logits among what the network answers to those pixels, (N, M) and float32 at least; else its answer."""
        x = pixels.flip(1) if self._spec.order == "BGR" else pixels
        x = (x * self._spec.scale - self._mean.to(x)) / self._std.to(x)
        weight = next((p for p in self.parameters() if p.is_floating_point()), None)
        answer = logits_of(
            self._ask((x if weight is None else x.to(weight.dtype)).contiguous(memory_format=self._layout))
        )
        return answer.to(torch.promote_types(answer.dtype, torch.float32)) if torch.is_tensor(answer) else answer

    def _ask(self, x: torch.Tensor) -> Any:
        if self._batch is None or len(x) == self._batch:
            return self._audited(x)
        answers = []
        for chunk in torch.split(x, self._batch):
            filling = chunk[-1:].expand(self._batch - len(chunk), *chunk.shape[1:])
            answers.append(logits_of(self._audited(torch.cat([chunk, filling])))[: len(chunk)])
        return torch.cat(answers)


def require_probabilities(answer: torch.Tensor, outputs: str = "probabilities") -> None:
    """Refuse an answer that says to be probabilities and holds a number outside [0, 1].

    Raises:
        ModelError: some number is below 0 or above 1 by more than rounding.
    """
    low, high = (float(bound) for bound in answer.detach().aminmax())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise ModelError(
            f"model.outputs = {outputs!r}, but the model answers numbers from {low:.3g} to {high:.3g}; "
            "set model.outputs = 'logits', or return the probabilities after the softmax"
        )
