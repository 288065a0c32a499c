"""The section of a layer's page on the groups of its units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnaudit.pages.document import Drawing, Part, Section
from cnnaudit.pages.kernels.layer import Examined
from cnnaudit.report.words import number, plural
from cnnaudit.units.kinds import Counted

if TYPE_CHECKING:
    from cnnaudit.units import UnitClusters

CLUSTERS_ALPHA = 0.01


def clusters_section(found: Examined, counted: Sequence[Counted]) -> Section:
    """The groups of the units, and whether there are any."""
    title = "Groups of units"
    if found.clusters is None:
        return Section(title, [f"Not shown: {found.reasons['clusters']}."])
    return Section(title, _cluster_text(found.clusters), _cluster_drawings(found.clusters))


def _cluster_text(found: UnitClusters) -> list[str]:
    text = [
        f"{found.words} (p = {found.count.p_value:.2g}, against units of the same mean and covariance that have no "
        "clusters)."
    ]
    if found.supported == 1 < found.clusters:
        beyond = "more than chance gives, but by too little spread to speak of clusters"
        such = beyond if found.count.p_value <= CLUSTERS_ALPHA else "chance gives such groups as well"
        text.append(f"As the data support none, the groups below are cut at the dendrogram's largest step; {such}.")
    if found.stability:
        said = ", ".join(f"{name} {number(value)}" for name, value in found.stability.items())
        text.append(f"Agreement of the groups when they are formed again (adjusted Rand index; 1 the same): {said}.")
    if found.constant:
        text.append(f"{plural(len(found.constant), 'unit')} without a pattern left out.")
    return text


def _cluster_drawings(found: UnitClusters) -> list[Part]:
    from cnnaudit.pages.kernels import cluster_figures as paint

    return [
        Drawing("The units in the plane", lambda: paint.embedding_figure(found), "Units near each other are alike."),
        Drawing("How many clusters the data support", lambda: paint.count_figure(found)),
        Drawing(
            "Dendrogram",
            lambda: paint.dendrogram_figure(found),
            "Groups have the colors of those above that they share most units with.",
        ),
        Drawing("A kernel for each group", lambda: paint.representatives_figure(found)),
    ]
