"""Images that drive units to their maximum or minimum: objectives, parameterizations, recipes, ascent."""

from __future__ import annotations

from cnnaudit.optimization._maximize import OptimizedImages, maximize
from cnnaudit.optimization.filters import Bilateral, Gaussian
from cnnaudit.optimization.images import Decoded, Fourier, Pixels
from cnnaudit.optimization.objectives import (
    LOGITS,
    Objective,
    caricature,
    channel,
    diverse,
    inversion,
    logit,
    probability,
    squared_norm,
    total_variation,
    unit,
    whole_layer,
)
from cnnaudit.optimization.recipes import RECIPES, Recipe, learned_prior
from cnnaudit.optimization.transforms import Jitter

__all__ = [
    "LOGITS",
    "RECIPES",
    "Bilateral",
    "Decoded",
    "Fourier",
    "Gaussian",
    "Jitter",
    "Objective",
    "OptimizedImages",
    "Pixels",
    "Recipe",
    "caricature",
    "channel",
    "diverse",
    "inversion",
    "learned_prior",
    "logit",
    "maximize",
    "probability",
    "squared_norm",
    "total_variation",
    "unit",
    "whole_layer",
]
