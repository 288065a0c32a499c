"""The single units of a network: their kernels, and what kinds of units there are.

Functions that share their module's name are imported here, before anybody imports the modules. No module that is
imported here imports torch at its top.
"""

from __future__ import annotations

from cnnaudit.units._cluster_count import ClusterCount, cluster_count
from cnnaudit.units._dead import dead
from cnnaudit.units._duplicates import Copy, copies, duplicates
from cnnaudit.units._kernels import LayerKernels, kernels, normalized
from cnnaudit.units._noise_padding import NoisePadding, noise_padding, noise_padding_of_layers
from cnnaudit.units._unit_clusters import UnitClusters
from cnnaudit.units.border import border_aware
from cnnaudit.units.clustering import cluster
from cnnaudit.units.color import color_blind
from cnnaudit.units.representatives import Representative
from cnnaudit.units.shares import LayerShare, layer_share
from cnnaudit.units.signs import SignAgreement, sign_agreement
from cnnaudit.units.unit_names import NamedUnit, named_unit, named_units
from cnnaudit.units.untrained import untrained

__all__ = [
    "ClusterCount",
    "Copy",
    "LayerKernels",
    "LayerShare",
    "NamedUnit",
    "NoisePadding",
    "Representative",
    "SignAgreement",
    "UnitClusters",
    "border_aware",
    "cluster",
    "cluster_count",
    "color_blind",
    "copies",
    "dead",
    "duplicates",
    "kernels",
    "layer_share",
    "named_unit",
    "named_units",
    "noise_padding",
    "noise_padding_of_layers",
    "normalized",
    "sign_agreement",
    "untrained",
]
