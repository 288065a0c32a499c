"""Does the picture change when the network's weights are random?

A picture that stays the same when the network knows nothing does not explain the network. The audit draws all weights
anew and compares the maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.fidelity._digit_targets import digits_target, drawn
from cnnaudit.checks.fidelity._methods import each, effort, interval, judged, refusals, subject_and_maps, title
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.small_targets import plain
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.progress import progress

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.fidelity._budget import Effort
    from cnnaudit.checks.fidelity._evaluation_set import Subject
    from cnnaudit.target import AuditTarget

NOISE = 0.02
_OWN = 0.1
_ADEBAYO = "Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018 (arXiv 1810.03292)"


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

    def survives(self) -> float:
        """The share of the map that survives, 0 where it is less alike than another image's: in [0, 1]."""
        return max(0.0, self.kept())

    @property
    def judgeable(self) -> bool:
        """Whether a map is more like itself under faint noise than like another image's map, by at least .1."""
        return bool((self.itself - self.other).mean() >= _OWN)


def compare(own: np.ndarray, noisy: np.ndarray, random: np.ndarray, stages: dict[float, np.ndarray]) -> Randomization:
    """The likenesses of maps (N, cells) of a model, of the same under faint noise, and of random networks.

    Args:
        stages: maps of the first images in networks whose upper layers are random, by the share of random layers.
    """
    from cnnaudit.checks.fidelity._attribution_maps import rank_similarity

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


def randomizations(
    subject: Subject, maps: Mapping[str, np.ndarray], effort: Effort, generator: torch.Generator
) -> tuple[dict[str, Randomization], dict[str, str]]:
    """Each method's maps beside those in random networks, one network for each of the first images; or why not."""
    import torch

    from cnnaudit.attribution.methods import METHODS
    from cnnaudit.checks.fidelity._random_networks import randomized, weighted_layers

    model, n = subject.target.model, min(effort.networks, len(subject.images))
    noise = (NOISE * torch.randn(subject.images.shape, generator=generator)).to(subject.images)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in maps}
    halves: dict[str, list[np.ndarray]] = {name: [] for name in maps}
    reasons: dict[str, str] = {}
    layers, seen = weighted_layers(model), subject.images[: effort.calibration]
    for index in progress(range(n), "random networks", n):
        one = slice(index, index + 1)
        nets = [(rows, randomized(model, seen, generator))]
        if index < effort.staged:
            nets.append((halves, randomized(model, seen, generator, layers[len(layers) // 2 :])))
        for name in [name for name, own in maps.items() if len(own) > index and name not in reasons]:
            try:
                for into, net in nets:
                    into[name].append(subject.strength(METHODS[name], one, model=net))
            except UnsupportedError as reason:
                reasons[name] = str(reason)

    def compared(name: str) -> Randomization:
        count = len(rows[name])
        noisy = subject.strength(METHODS[name], slice(count), noise=noise)
        staged = {0.5: np.concatenate(halves[name])} if halves[name] else {}
        return compare(maps[name][:count], noisy, np.concatenate(rows[name]), staged)

    found, refused = each((name for name in maps if name not in reasons), "maps under noise", compared)
    return found, {**reasons, **refused}


@check(
    question="Does the picture change when the network's weights are random?",
    statistic="share of the map that survives random weights",
    unit="share of rank similarity",
    direction="at_most",
    tolerance=0.5,
    gate=False,
    remedy="Do not read this method's pictures as explanations of this model: they mostly show the image, as an edge "
    "detector does. Use a method that passes, and show the edge detector's picture beside it.",
    reference=f"{_ADEBAYO}; Hedström et al., A fresh look at sanity checks for saliency maps, 2024 (arXiv 2401.06465)",
    needs=("validation",),
)
def randomization(context: CheckContext) -> list[Finding]:
    """For each method, how much of a map's likeness to itself survives when all weights are drawn anew.

    (s_random - s_other) / (1 - s_other), with s Spearman's rank correlation of saliency maps on a grid of at most
    28 x 28 cells: s_random with the map of the same image in a network of random weights (a new one for each image), so
    that the interval, a bootstrap over images, covers networks too), s_other with maps of other images. 1 for an edge
    detector, 0 for a map that is no more like than another image's, or less. Compared is the strength of each cell,
    in whichever direction.

    Known confounds of the test and what is done about them: the layers from the top down keep what is below, so that
    the verdict rests on all layers (Binder et al. 2023), the upper ones are shown (but by `quick` on photographs);
    maps full of noise change whatever happens, so that s_itself, with the map of the same image under faint noise, must
    exceed s_other by .1, else nothing is judged (the concern of sMPRT); complexity rises in a random network, and is
    shown (eMPRT).

    Tolerance: half of the map. The 99 % point of the gradient in ordinary networks is .24, the median 0, and none
    fails. The interval of 16 networks reaches up to .4 beyond.
    """
    from cnnaudit.checks.fidelity._random_networks import weighted_layers
    from cnnaudit.checks.fidelity.randomization_figures import randomization_pictures, randomization_tables

    if not weighted_layers(context.target.model):
        raise UnsupportedError("the model has no weights that could be drawn anew")
    subject, maps, refused = subject_and_maps(context)
    measured, unsupported = randomizations(subject, maps, effort(context), context.torch_generator("networks"))
    names = judged(measured)
    one = context.among(len(names))
    tables = randomization_tables(measured)
    found = [
        _judge(
            one,
            name,
            measured[name],
            [*tables(name, name == names[0]), randomization_pictures(measured[name], subject.grid)],
        )
        for name in names
    ]
    return [*found, *refusals(context, {**refused, **unsupported})]


def _judge(context: CheckContext, name: str, found: Randomization, shown: list[Mapping[str, Any]]) -> Finding:
    """The finding of one method; refused where its maps are not even like themselves."""
    if not found.judgeable:
        return context.not_applicable(
            f"the maps of two images are as alike (rank correlation {found.other.mean():.2f}) as those of one image "
            f"with and without faint noise ({found.itself.mean():.2f}): they show nothing of their image that random "
            "weights could take away",
            part=name,
        )
    return context.judge(
        found.survives(),
        interval(context, len(found.random), found.kept, (0, 1), name),
        n=len(found.random),
        part=name,
        summary=f"{title(name)}: a map's rank correlation is {found.random.mean():.2f} with that of a random "
        f"network, {found.other.mean():.2f} with those of other images and {found.itself.mean():.2f} with itself under "
        f"faint noise; {found.survives():.0%} of the map survives random weights.",
        evidence=shown,
    )


def edge_detector(seed: int) -> AuditTarget:
    """A classifier of fixed edges whose weights only scale them: its gradient shows the edges, whatever the weights."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Edges(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()
            self.last = nn.Linear(1, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(images)
            slopes = functional.conv2d(images, torch.stack([sobel, sobel.T, -sobel, -sobel.T])[:, None])
            logits: torch.Tensor = self.last(self.relu(slopes).square().mean((1, 2, 3))[:, None])
            return logits

    return digits_target("an edge detector", drawn(Edges(), seed))


PLANTS = [
    Plant(
        "an edge detector posing as saliency",
        edge_detector,
        partial(plain, source="digits", trained=True),
        part=("gradient", "smooth_grad", "forward_backward", "occlusion", "lime"),
    ),
]


POPULATIONS = ordinary(seeds=100)
