"""How an image ascends: its parameterization, step rule, jitter and regularizers. Published recipes, and ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from cnnaudit.optimization.images import Fourier, Parameterization, Pixels
from cnnaudit.optimization.transforms import Jitter

if TYPE_CHECKING:
    import torch

Moments = tuple["torch.Tensor", "torch.Tensor"]


@dataclass(frozen=True)
class Recipe:
    """The settings of an ascent.

    Attributes:
        rule: `adam`, or `normalized`: steps along the gradient divided by its L2 norm.
        rate: of the steps, in the unit of the parameterization.
        steps: at most so many.
        start: standard deviation of the noise around gray that it starts from.
        jitter: what the image must survive, None: nothing.
        decay: share of I - gray that each step takes away (L2 decay).
        blur: standard deviation in pixels of a Gaussian applied every `blur_every` steps; 0: none.
        penalty: a number per image that is taken off the objective.
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
    blur: float = 0.0
    blur_every: int = 4
    penalty: Callable[[torch.Tensor], torch.Tensor] | None = None
    measured_every: int = 16
    patience: int = 4
    tolerance: float = 1e-3

    def seen(self, images: torch.Tensor, step: int, generator: torch.Generator) -> torch.Tensor:
        """The images as the model sees them in that step."""
        return images if self.jitter is None else self.jitter(images, generator)

    def step(
        self, numbers: torch.Tensor, gradient: torch.Tensor, moments: Moments, step: int
    ) -> tuple[torch.Tensor, Moments]:
        """The numbers after a step uphill, each image on its own."""
        if self.rule == "normalized":
            length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
            numbers = numbers + self.rate * gradient / length.view(-1, *[1] * (gradient.ndim - 1))
        else:
            first = 0.9 * moments[0] + 0.1 * gradient
            second = 0.999 * moments[1] + 0.001 * gradient.square()
            ratio = (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
            numbers, moments = numbers + self.rate * ratio, (first, second)
        if self.decay:
            numbers = 0.5 + (numbers - 0.5) * (1 - self.decay)
        if self.blur and step % self.blur_every == 0:
            numbers = _blurred(numbers, self.blur)
        return numbers, moments


def _blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    from torchvision.transforms.functional import gaussian_blur

    side = min(2 * round(3 * sigma) + 1, (min(images.shape[2:]) - 1) // 2 * 2 + 1)
    blurred: torch.Tensor = gaussian_blur(images, [side, side], [sigma, sigma])
    return blurred


_ALL = (
    Recipe(
        "default",
        "cnnaudit",
        Fourier(),
        jitter=Jitter(pixels=8, scale=(0.9, 1.1), degrees=10, after=4),
    ),
    Recipe("none", "Erhan et al. 2009; Simonyan et al. 2013: no regularizer", Pixels(), rate=0.02),
    Recipe("frequency", "Yosinski et al. 2015: blur and decay", Pixels(), rate=0.02, decay=0.01, blur=0.5),
    Recipe("robustness", "Mordvintsev et al. 2015: jitter", Pixels(), rate=0.02, jitter=Jitter()),
    Recipe("lees", "Lees 2017: 500 steps of .1", Pixels(box=False), rule="normalized", rate=0.1, steps=500),
    Recipe(
        "garriga",
        "Garriga 2019: Adam .05, 2048 steps",
        Fourier(),
        steps=2048,
        jitter=Jitter(pixels=8, scale=(0.9, 1.1), degrees=10, after=4),
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in _ALL})
