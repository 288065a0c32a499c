"""Does an attribution map change when the network's weights are random?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cnnaudit.checks.fidelity._saliency import rank_similarity

NOISE = 0.02
_LIVE = 1e-6
_OWN = 0.1
_DRAWS = 20

Maps = Callable[[nn.Module, torch.Tensor, torch.Tensor], np.ndarray]


def weighted_layers(model: nn.Module) -> list[str]:
    """The modules with parameters of their own, in the order of `named_modules()`: from the input to the output."""
    return [name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]


def randomized(
    model: nn.Module, images: torch.Tensor, generator: torch.Generator, layers: Sequence[str] | None = None
) -> nn.Module:
    """A copy of the model whose weights are drawn anew, and whose units still answer to the images.

    Tensors of two and more axes (kernels, matrices) are drawn from a normal distribution with their own root mean
    square, so that the activations keep their scale beside the biases; vectors (biases, the factors of normalizations)
    are permuted. Batch statistics are measured again on the images. Small random networks are often dead, their answer
    the same for all images; such a copy says nothing about a method, and is drawn again, up to 20 times.

    Args:
        images: (N, C, H, W), what the statistics are measured and the life is tested on.
        layers: names of `weighted_layers` to draw anew; None: all.

    Returns:
        A copy in `eval()` mode; the model is left as it was.

    Source: Adebayo et al. 2018 (arXiv 1810.03292), model parameter randomization.
    """
    names = weighted_layers(model) if layers is None else layers
    for _ in range(_DRAWS):
        twin = copy.deepcopy(model)
        modules = dict(twin.named_modules())
        with torch.no_grad():
            for name in names:
                for parameter in modules[name].parameters(recurse=False):
                    _draw(parameter, generator)
            _measure_batch_statistics(twin, images)
            answer = twin(images).float()
        if torch.isfinite(answer).all() and answer.std(0).max() > _LIVE * answer.abs().max():
            break
    return twin


@dataclass(frozen=True, slots=True)
class Randomization:
    """How like its map each image's map of a random network is; every array is (N,), one value per image.

    Attributes:
        random: with the map of the same image in a network with random weights.
        itself: with the map of the same image plus faint noise: the most that a map of this method can be like another.
        other: with the maps of other images, on average: the likeness that owes nothing to the image.
        complexity: entropy of the random network's map less that of the model's, 1 being that of an even map (eMPRT).
        stages: similarity after the layers from the output down to a share of them are random, by that share.
        example: (2, cells), the first image's map and that of its random network.
    """

    random: np.ndarray
    itself: np.ndarray
    other: np.ndarray
    complexity: np.ndarray
    stages: dict[float, float]
    example: np.ndarray

    def kept(self, rows: np.ndarray | slice = slice(None)) -> float:
        """The share of a map that survives random weights, (random - other) / (1 - other), averages over images.

        1 for a map that does not look at the weights, 0 for one that a random network draws no more alike than the
        model draws another image, negative where it is less alike still.
        """
        random, other = self.random[rows].mean(), self.other[rows].mean()
        return float((random - other) / max(1 - other, 1e-9))

    @property
    def judgeable(self) -> bool:
        """Whether a map is more like itself under faint noise than like another image's map, by at least .1."""
        return bool((self.itself - self.other).mean() >= _OWN)


def compare(own: np.ndarray, noisy: np.ndarray, random: np.ndarray, stages: dict[float, np.ndarray]) -> Randomization:
    """The likenesses of maps (N, cells) of a model, of the same under faint noise, and of random networks.

    Args:
        stages: maps of the first images in networks whose upper layers are random, by the share of random layers.
    """
    shifted = [rank_similarity(own, np.roll(own, shift, axis=0)) for shift in range(1, min(len(own), 9))]
    entropy = [map_entropy(maps) for maps in (own, random)]
    return Randomization(
        random=rank_similarity(own, random),
        itself=rank_similarity(own, noisy),
        other=np.mean(shifted, axis=0) if shifted else np.zeros(len(own)),
        complexity=(entropy[1] - entropy[0]) / np.log(own.shape[1]),
        stages={share: float(rank_similarity(own[: len(maps)], maps).mean()) for share, maps in stages.items()},
        example=np.stack([own[0], random[0]]),
    )


def map_entropy(maps: np.ndarray) -> np.ndarray:
    """Entropy in nats of each map's mass over its cells, (N,): 0 for one cell, log(cells) for an even map.

    Source: the complexity of eMPRT, Hedström et al. 2024 (arXiv 2401.06465).
    """
    from scipy.special import entr

    mass = np.abs(maps) / np.maximum(np.abs(maps).sum(1, keepdims=True), 1e-30)
    result: np.ndarray = entr(mass).sum(1)
    return result


def _draw(parameter: nn.Parameter, generator: torch.Generator) -> None:
    """New values for one parameter, drawn on the CPU so that they are the same on every device."""
    if parameter.dim() > 1:
        drawn = torch.randn(parameter.shape, generator=generator) * float(parameter.float().square().mean().sqrt())
        parameter.copy_(drawn)
    elif parameter.numel() > 1:
        parameter.copy_(parameter[torch.randperm(len(parameter), generator=generator).to(parameter.device)])


def _measure_batch_statistics(model: nn.Module, images: torch.Tensor) -> None:
    """Let the batch normalizations take the mean and variance of these images."""
    normalizations = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not normalizations:
        return
    for module in normalizations:
        module.reset_running_stats()
        module.momentum = None  # the cumulative mean of what it sees
        module.train()
    model(images.clone())
    for module in normalizations:
        module.eval()
