"""How an image ascends: its parameterization, step rule, jitter and regularizers. Published recipes, and ours.

The families of regularizers follow C. Olah, A. Mordvintsev, L. Schubert, Feature visualization, Distill 2017: `none`,
`frequency` (also `total_variation`, `bilateral`), `robustness` (also `multi_scale`), `learned_prior` and `examples`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch

from cnnaudit.models.autoencoder import Autoencoder
from cnnaudit.optimization.filters import Bilateral, Gaussian
from cnnaudit.optimization.images import Decoded, Fourier, Parameterization, Pixels
from cnnaudit.optimization.objectives import Objective, total_variation
from cnnaudit.optimization.transforms import Jitter

Moments = tuple["torch.Tensor", "torch.Tensor"]


@dataclass(frozen=True)
class Recipe:
    """The settings of an ascent.

    Attributes:
        rule: `adam`, or `normalized`: steps along the gradient divided by its L2 norm.
        rate: of the steps, in the unit of the parameterization.
        steps: at most so many; 0: the images that the start offers are compared and none is changed.
        start: standard deviation of the noise around gray that it starts from.
        jitter: what the image must survive, None: nothing.
        decay: share of I - gray that each step takes away (L2 decay).
        filter: smooths the pixels every `filter_every` steps.
        penalty: of the images as they are seen, taken off the objective as they ascend, in the objective's unit.
        octaves: the image begins as a grid smaller by `octave_ratio` for each octave but the last, stretched to full
            size for the model, and grows after equal shares of the steps.
        louder: noise from which units that nothing moved start again before they are called dead.
        measured_every: steps between two looks at the images as they are, without jitter.
        patience, tolerance: an image that rose by less than `tolerance` of its height in `patience` looks is done.
        source: author and year.
    """

    name: str
    source: str
    parameterization: Parameterization
    rule: Literal["adam", "normalized"] = "adam"
    rate: float = 0.05
    steps: int = 512
    start: float = 0.01
    jitter: Jitter | None = None
    decay: float = 0.0
    filter: Callable[[torch.Tensor], torch.Tensor] | None = None
    filter_every: int = 4
    penalty: Objective | None = None
    octaves: int = 1
    octave_ratio: float = 1.5
    louder: tuple[float, ...] = (0.1, 0.3)
    measured_every: int = 16
    patience: int = 4
    tolerance: float = 1e-3

    def seen(self, images: torch.Tensor, generator: torch.Generator, field: int | None = None) -> torch.Tensor:
        """The images as the model sees them in a step; see `Jitter` for `field`."""
        return images if self.jitter is None else self.jitter(images, generator, field)

    def grids(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """The sizes of the image from its first octave to the last, which is its own."""
        shrunk = [self.octave_ratio**k for k in reversed(range(self.octaves))]
        return [(max(1, round(size[0] / factor)), max(1, round(size[1] / factor))) for factor in shrunk]

    def step(
        self, numbers: torch.Tensor, gradient: torch.Tensor, moments: Moments, step: int
    ) -> tuple[torch.Tensor, Moments]:
        """The numbers after a step uphill, each image on its own."""
        if self.rule == "normalized":
            length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
            numbers = numbers + self.rate * gradient / length.view(-1, *[1] * (gradient.ndim - 1))
        else:
            first = moments[0].lerp(gradient, 0.1)
            second = (0.999 * moments[1]).addcmul_(gradient, gradient, value=0.001)
            spread = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
            numbers, moments = numbers.addcdiv(first, spread, value=self.rate / (1 - 0.9**step)), (first, second)
        if self.decay:
            numbers = 0.5 + (numbers - 0.5) * (1 - self.decay)
        if self.filter is not None and step % self.filter_every == 0:
            numbers = self.filter(numbers)
        return numbers, moments


def learned_prior(autoencoder: Autoencoder) -> Recipe:
    """Images that the decoder of an autoencoder makes, the code ascending: the family of the learned priors.

    Args:
        autoencoder: of the target's own data, from `cnnaudit.training.fit_autoencoder((images, labels))`.
    """
    return Recipe("learned_prior", "Nguyen et al. 2016", Decoded(autoencoder), rate=0.05, louder=(0.3, 1.0))


_WANDERING = Jitter(pixels=8, scale=(0.9, 1.1), degrees=10, after=4)
_ALL = (
    Recipe("default", "cnnaudit", Fourier(), rate=0.1, jitter=_WANDERING),
    Recipe("none", "Erhan et al. 2009; Simonyan et al. 2013: no regularizer", Pixels(), rate=0.02),
    Recipe(
        "frequency", "Yosinski et al. 2015: blur and L2 decay", Pixels(), rate=0.02, decay=0.01, filter=Gaussian(0.5)
    ),
    Recipe("total_variation", "Mahendran and Vedaldi 2015", Pixels(), rate=0.02, penalty=5 * total_variation()),
    Recipe("bilateral", "Tyka 2016, who also jitters", Pixels(), rate=0.02, jitter=Jitter(), filter=Bilateral()),
    Recipe("robustness", "Mordvintsev et al. 2015: jitter", Pixels(), rate=0.02, jitter=Jitter()),
    Recipe("multi_scale", "Mordvintsev et al. 2015: jitter, octaves", Pixels(), rate=0.02, jitter=Jitter(), octaves=4),
    Recipe("examples", "Szegedy et al. 2013: images of the data set", Pixels(box=False), steps=0),
    Recipe(
        "lees",
        "Lees 2017: gray noise, gradient over its L2 norm, 500 steps of .1, units stuck at 0 skipped",
        Pixels(box=False),
        rule="normalized",
        rate=0.1,
        steps=500,
        start=0.02,
        tolerance=0,
        louder=(),
    ),
    Recipe(
        "garriga",
        "Garriga 2019: Adam .05, 2048 steps, decorrelated Fourier space, 16 gray pixels around",
        Fourier(),
        steps=2048,
        tolerance=0,
        jitter=Jitter(pixels=8, scale=(0.9, 1.1), degrees=10, after=4, padding=16),
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in _ALL})
