"""Intervals, tests and seeds: everything a verdict rests on. NumPy and SciPy only."""

from cnnaudit.core.statistics.bootstrap import bootstrap_interval
from cnnaudit.core.statistics.multiplicity import benjamini_hochberg, gate_confidence
from cnnaudit.core.statistics.permutation import permutation_p_value
from cnnaudit.core.statistics.proportion import needed_images, proportion_interval, proportion_p_value
from cnnaudit.core.statistics.seeds import derive_seed, generator

__all__ = [
    "benjamini_hochberg",
    "bootstrap_interval",
    "derive_seed",
    "gate_confidence",
    "generator",
    "needed_images",
    "permutation_p_value",
    "proportion_interval",
    "proportion_p_value",
]
