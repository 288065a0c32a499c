"""The same units optimized in several ways: by steps, by regularizers, into different images, and together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.pages.atlas._optima import FIELDS, Optima, Settings, optima
from cnnaudit.pages.atlas.training import Snapshots

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.optimization import OptimizedImages


def over_steps(model: nn.Module, layer: str, units: Sequence[int], settings: Settings) -> Snapshots:
    """The maximum images of units after 1, 4, 16, … steps and after the last one, from the same first images.

    Each column is an ascent of its own that is ended there, so that what is shown is what that many steps reach.

    Source: C. Garriga, Studying the characterisation of deep CNN neurons, 2019, figure 11.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
        >>> over_steps(net, "0", [1], Settings((1, 16, 16), steps=8)).names
        ('step 1', 'step 4', 'step 8')
    """
    from cnnaudit.core.progress import progress
    from cnnaudit.optimization import RECIPES

    last = RECIPES[settings.recipe].steps if settings.steps is None else settings.steps
    moments = [4**k for k in range(12) if 4**k < last] + [last]
    found = tuple(
        optima(model, layer, list(units), "maximum", replace(settings, steps=steps))
        for steps in progress(moments, f"{layer} step by step")
    )
    return Snapshots(layer, tuple(f"step {steps}" for steps in moments), found)


def over_families(
    model: nn.Module, layer: str, units: Sequence[int], settings: Settings, images: torch.Tensor
) -> Snapshots:
    """The maximum images of units by every recipe and by a prior that is learned from the images.

    Args:
        images: of the data, (n, C, H, W); `examples` chooses among them, and the learned prior is fitted to them.

    Source: L. von Burg, Debugging deep neural networks, 2017 (the table of regularizers), after Olah et al. 2017.
    """
    from torch.nn import functional

    from cnnaudit.core.progress import progress
    from cnnaudit.optimization import RECIPES
    from cnnaudit.optimization.recipes import learned_prior
    from cnnaudit.training import fit_autoencoder

    size = settings.shape[1:]
    given = images if tuple(images.shape[2:]) == size else functional.interpolate(images, size, mode="bilinear")
    names = [*RECIPES, "learned_prior"]
    found = []
    for name in progress(names, f"{layer} by families of regularizers"):
        if name == "examples":
            found.append(_examples(model, layer, units, settings, given))
        elif name == "learned_prior":
            prior = learned_prior(fit_autoencoder((given.cpu().numpy(), np.zeros(len(given))), seed=settings.seed))
            found.append(optima(model, layer, list(units), "maximum", settings, recipe=prior))
        else:
            found.append(optima(model, layer, list(units), "maximum", replace(settings, recipe=name)))
    return Snapshots(layer, tuple(names), tuple(found))


def over_diversity(
    model: nn.Module, layer: str, units: Sequence[int], settings: Settings, images: int = 4
) -> Snapshots:
    """Several images for each unit that differ in their style: what else it answers to.

    Source: C. Olah, A. Mordvintsev, L. Schubert, Feature visualization, Distill 2017.
    """
    from cnnaudit.optimization import maximize
    from cnnaudit.optimization.objectives import diverse

    goal = diverse(settings.objective(layer, list(units)), layer, images)
    found = maximize(
        model, goal, settings.shape, settings.recipe,
        steps=settings.steps, batch_size=len(goal), seed=settings.seed, description=f"{layer}, diverse",
    )  # fmt: skip
    rows = np.arange(len(goal)).reshape(len(units), images)
    names = tuple(f"image {k + 1}" for k in range(images))
    return Snapshots(layer, names, tuple(_kept(found, rows[:, k], units) for k in range(images)))


def over_interaction(model: nn.Module, layer: str, units: Sequence[int], settings: Settings) -> Snapshots:
    """Each unit maximized together with each of the others, the sum of both; with itself: alone.

    Source: C. Olah, A. Mordvintsev, L. Schubert, Feature visualization, Distill 2017 (neuron interaction).
    """
    from cnnaudit.core.progress import progress
    from cnnaudit.optimization import maximize

    parts = []
    for other in progress(units, f"{layer}, units together"):
        goal = settings.objective(layer, list(units)) + settings.objective(layer, [other])
        found = maximize(model, goal, settings.shape, settings.recipe, steps=settings.steps,
                         batch_size=len(goal), seed=settings.seed)  # fmt: skip
        parts.append(_kept(found, np.arange(len(units)), units))
    return Snapshots(layer, tuple(f"with {unit}" for unit in units), tuple(parts))


def _examples(model: nn.Module, layer: str, units: Sequence[int], settings: Settings, images: torch.Tensor) -> Optima:
    """The image of the data that serves each unit best, as an optimum of no steps."""
    from cnnaudit.optimization import maximize

    best = maximize(model, settings.objective(layer, units), settings.shape, "examples", start=images)
    return _kept(best, np.arange(len(units)), units)


def _kept(found: OptimizedImages, rows: np.ndarray, units: Sequence[int]) -> Optima:
    """Some of the images, one for each unit, in 8 bits."""
    images = (found.images.cpu() * 255).round().clamp(0, 255).byte().numpy()
    values = {
        "units": np.asarray(units, dtype=np.int64),
        "images": images[rows],
        "start": found.start[rows],
        "height": found.height[rows],
        "outcome": np.asarray(found.outcome, dtype="U9")[rows],
        "steps": found.steps[rows],
        "began": np.asarray(found.began, dtype="U12")[rows],
    }
    return Optima(*(values[name] for name in FIELDS))
