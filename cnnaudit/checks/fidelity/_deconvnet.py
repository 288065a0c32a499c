"""Is the deconvnet's picture what its paper defines, and does it stand where the unit looks?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cnnaudit.activation import receptive_field
from cnnaudit.attribution import deconvnet, saliency
from cnnaudit.checks.fidelity._deconvolution import chain, misplaced, reconstruct
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import record
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.rectification import relu_rule

_UNITS = 2


def rectified_maps(model: nn.Module, images: torch.Tensor) -> list[str]:
    """The layers whose rectified answer is a map of 2 x 2 or more, in the order of the pass.

    Raises:
        UnsupportedError: the model has no ReLU, or other activations; or no such map.
    """
    with evaluating(model), relu_rule(model, "deconvnet") as ruled, torch.no_grad():
        model(images[:1])
        names = list(ruled)
    with evaluating(model), record(model, names) as values, torch.no_grad():
        model(images[:1])
        maps = [name for name in names if values[name].dim() == 4 and min(values[name].shape[2:]) > 1]
    if not maps:
        raise UnsupportedError("no ReLU of the model answers with maps, so there is nothing to deconvolve")
    return maps


def strongest_units(model: nn.Module, images: torch.Tensor, layer: str, most: int = _UNITS) -> list[int]:
    """The channels of a layer that answer most to the images, by their largest activations, at most that many.

    Raises:
        UnsupportedError: no channel answers to any image.
    """
    with evaluating(model), record(model, [layer]) as values, torch.no_grad():
        model(images)
        strength = values[layer].flatten(2).amax(2).mean(0)
    order = strength.argsort(descending=True)[:most]
    alive = [int(unit) for unit in order if strength[unit] > 0]
    if not alive:
        raise UnsupportedError(f"no unit of layer {layer} answers to any image: its units are dead")
    return alive


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a picture is from what it should be, as a share of its energy; where."""

    what: str
    layer: str
    share: float


def against_definition(model: nn.Module, images: torch.Tensor, classes: torch.Tensor) -> list[Difference]:
    """The pictures of the classes and of the strongest unit, against the slow definition (`deconvolution`).

    Raises:
        UnsupportedError: the model is no chain of modules, or has layers that the definition does not know.
    """
    steps = chain(model, images)
    logits = torch.zeros(len(images), steps[-1].shape[1], dtype=images.dtype, device=images.device)
    signal = logits.scatter(1, classes[:, None], 1)
    found = [Difference("class", "", misplaced(deconvnet(model, images, classes), reconstruct(steps, signal)))]
    names = [step.name for step in steps]
    layer = next((name for name in reversed(rectified_maps(model, images)) if name in names), None)
    if layer is not None:
        unit = strongest_units(model, images, layer, 1)[0]
        with evaluating(model), record(model, [layer]) as values, torch.no_grad():
            model(images)
            signal = torch.zeros_like(values[layer])
            signal[:, unit] = values[layer][:, unit]
        defined = reconstruct(steps[: names.index(layer) + 1], signal)
        shown = deconvnet(model, images, layer=layer, unit=unit)
        found.append(Difference(f"unit {unit}", layer, misplaced(shown, defined)))
    return found


def outside_receptive_field(model: nn.Module, image: torch.Tensor, layers: Sequence[str]) -> list[Difference]:
    """The share of a picture's energy outside of the unit's receptive field: of the strongest position of each layer.

    Args:
        image: (1, C, H, W).
        layers: where the receptive field cannot be computed, the layer is left out.
    """
    found = []
    for layer in layers:
        try:
            unit = strongest_units(model, image, layer, 1)[0]
            with evaluating(model), record(model, [layer]) as values, torch.no_grad():
                model(image)
                plane = values[layer][0, unit]
            row, column = divmod(int(plane.argmax()), plane.shape[1])
            shape = image.shape[1], image.shape[2], image.shape[3]
            box = receptive_field(model, layer, shape, (row, column))
        except UnsupportedError:
            continue
        energy = deconvnet(model, image, layer=layer, unit=(unit, row, column)).double().square().sum((0, 1))
        total = float(energy.sum())
        energy[box.top : box.bottom, box.left : box.right] = 0
        what = f"unit {unit} at ({row}, {column}), beyond its receptive field"
        found.append(Difference(what, layer, float(energy.sum()) / total if total else 0.0))
    return found


def pictures(model: nn.Module, images: torch.Tensor, layer: str, units: Sequence[int]) -> list[torch.Tensor]:
    """The saliency (N, H, W) of the deconvnet's pictures of each unit's whole map."""
    return [saliency(deconvnet(model, images, layer=layer, unit=unit)) for unit in units]
