"""What the layers of a model hold: feature maps, strongest pixels, receptive fields, active filters.

Functions that share their module's name are imported here, before anybody imports the modules, so that
`cnnaudit.activation.feature_maps` is the function in every order of imports. No module that is imported here imports
torch at its top.
"""

from __future__ import annotations

from cnnaudit.activation._active_filters import ActiveFilters, active_filters
from cnnaudit.activation._effects import effects
from cnnaudit.activation._feature_maps import feature_maps
from cnnaudit.activation.figures import draw_feature_maps, feature_map_grid, outlined
from cnnaudit.activation.layers import spatial_layers
from cnnaudit.activation.maximum import Maximum, TopImage, maximum_activation, top_images
from cnnaudit.interventions.box import Box
from cnnaudit.interventions.receptive_field import ReceptiveFields, receptive_field, receptive_fields

__all__ = [
    "ActiveFilters",
    "Box",
    "Maximum",
    "ReceptiveFields",
    "TopImage",
    "active_filters",
    "draw_feature_maps",
    "effects",
    "feature_map_grid",
    "feature_maps",
    "maximum_activation",
    "outlined",
    "receptive_field",
    "receptive_fields",
    "spatial_layers",
    "top_images",
]
