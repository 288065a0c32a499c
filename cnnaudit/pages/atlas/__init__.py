"""The atlas: what drives each unit of a layer to its maximum and minimum, beside the images of the data that do."""

from __future__ import annotations

from cnnaudit.pages.atlas._exemplars import Exemplars, exemplars
from cnnaudit.pages.atlas._optima import Optima, Settings, optima
from cnnaudit.pages.atlas.layers import LayerAtlas, Plan, atlas, kept_maxima
from cnnaudit.pages.atlas.training import Snapshots, over_training

__all__ = [
    "Exemplars",
    "LayerAtlas",
    "Optima",
    "Plan",
    "Settings",
    "Snapshots",
    "atlas",
    "exemplars",
    "kept_maxima",
    "optima",
    "over_training",
]
