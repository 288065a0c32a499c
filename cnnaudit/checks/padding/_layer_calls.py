"""The convolutions of a model that pad, from the calls of one forward pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext
from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    from cnnaudit.interventions import Call
    from cnnaudit.target import AuditTarget

SMALLEST_MAP = 8  # below, the ring is most of the map


def observed_calls(target: AuditTarget) -> list[Call]:
    """The calls of one forward pass; a model without convolutions is refused."""
    import torch

    from cnnaudit.interventions import calls

    blank = torch.zeros(1, target.input.channels, *target.input.size, device=target.device)
    observed = calls(target.model, blank)
    if not any(call.kind == "conv2d" for call in observed):
        raise UnsupportedError("the model calls no 2-d convolution")
    return observed


def padding_convolutions(observed: Iterable[Call]) -> list[str]:
    """The names of the convolutions that pad, whatever the size of their maps."""
    return [call.name for call in observed if call.kind == "conv2d" and call.geometry and any(call.geometry.padding)]


def padded_layers(observed: Iterable[Call]) -> dict[str, str]:
    """The convolutions that pad, each with the layer that holds its response.

    That is the activation function that follows before the next convolution, or the convolution itself. Maps smaller
    than 8 x 8 are left out: more than half of such a map is border.

    Returns:
        Names as `cnnaudit.interventions.calls` gives them: convolution -> response.
    """
    from cnnaudit.interventions.op_types import ACTIVATIONS

    found: dict[str, str] = {}
    waiting = None
    for call in observed:
        if call.kind == "conv2d":
            large = min(call.output_shape[-2:]) >= SMALLEST_MAP
            waiting = call.name if call.geometry and any(call.geometry.padding) and large else None
            if waiting:
                found[waiting] = waiting
        elif waiting and call.kind in ACTIVATIONS and len(call.output_shape) == 4:
            if min(call.output_shape[-2:]) >= SMALLEST_MAP:
                found[waiting] = call.name
            waiting = None
    return found


def require_padded_layers(context: CheckContext) -> dict[str, str]:
    """The padded convolutions with their responses; a model without any is refused."""
    context.predictions("validation")  # refuses a model that answers NaN, whose activations would say nothing
    layers = padded_layers(observed_calls(context.target))
    if not layers:
        raise UnsupportedError("no convolution with a map of 8 x 8 or more pads its input, so there is no border")
    return layers


def require_responses(responses: np.ndarray) -> None:
    """Refuse to speak of borders where nothing responds."""
    if not responses.any():
        raise UnsupportedError("no layer with padding responds to any image: its units are dead")
