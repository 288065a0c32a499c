"""The units of a layer in groups: what `cluster` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit.units._cluster_count import ClusterCount
from cnnaudit.units.representatives import Representative


@dataclass(frozen=True, eq=False)
class UnitClusters:
    """The units of a layer, drawn, grouped and judged.

    Attributes:
        layer: its name.
        size: (h, w) of the kernels.
        units: the numbers of the units that were grouped, (n,); `constant` are those without any pattern.
        count: how many clusters the data support, against a null.
        clusters: into how many groups the units were put; `steps`: where the dendrogram steps most.
        labels: their group by spectral clustering, (n,), 0 the largest; `dendrogram` by the cut, a group with the
            number of the spectral one that it shares most units with.
        linkage: the Ward dendrogram, (n - 1, 4), as SciPy has it.
        cut: the height at which it is cut.
        embedding: (n, 2), by `embedded_by`: UMAP, or principal axes.
        gamma: of the affinity exp(-gamma d^2).
        representatives: of each group.
        axis: share of all squared weights on one line through 0: near 1, kernels are one kernel or its negative.
        silhouette: mean over the units, by distance in the full space; None for one group.
        stability: mean adjusted Rand index, by what was repeated; see `cluster`. Empty for one group.
    """

    layer: str
    size: tuple[int, int]
    units: np.ndarray
    constant: tuple[int, ...]
    count: ClusterCount
    clusters: int
    steps: int
    labels: np.ndarray
    dendrogram: np.ndarray
    linkage: np.ndarray
    cut: float
    embedding: np.ndarray
    embedded_by: str
    gamma: float
    representatives: tuple[Representative, ...]
    axis: float
    silhouette: float | None
    stability: dict[str, float]

    @property
    def supported(self) -> int:
        """How many clusters the data support."""
        return self.count.clusters

    @property
    def sizes(self) -> list[int]:
        """Units of each group."""
        return [one.size for one in self.representatives]

    @property
    def words(self) -> str:
        """The groups and what the data support, in one sentence."""
        more = " or more" if self.count.saturated else ""
        put = (
            f"put into {self.clusters} groups of {', '.join(map(str, self.sizes))}"
            if self.clusters > 1
            else "one group"
        )
        plural = "s" * (self.supported > 1)
        less = f", which hold {self.count.beyond:.1%} less spread than chance leaves" if self.supported > 1 else ""
        one_line = self.axis > 0.5 and len(self.units) > 2
        line = f"; {self.axis:.0%} of all weights is one kernel or its negative" if one_line else ""
        own = f"{len(self.units)} unit{'s' * (len(self.units) > 1)}"
        stepped = f"; the dendrogram steps most at {self.steps}" if self.steps not in (1, self.clusters) else ""
        return f"{own}, {put}; the data support {self.supported}{more} cluster{plural}{less}{stepped}{line}"

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "layer": self.layer,
            "size": list(self.size),
            "units": self.units.tolist(),
            "constant": list(self.constant),
            "clusters": self.clusters,
            "supported": self.supported,
            "steps": self.steps,
            "saturated": self.count.saturated,
            "p_value": self.count.p_value,
            "beyond": self.count.beyond,
            "gap": self.count.gap.tolist(),
            "gap_spread": self.count.spread.tolist(),
            "labels": self.labels.tolist(),
            "dendrogram": self.dendrogram.tolist(),
            "linkage": self.linkage.tolist(),
            "cut": self.cut,
            "embedding": self.embedding.tolist(),
            "embedded_by": self.embedded_by,
            "gamma": self.gamma,
            "axis": self.axis,
            "silhouette": self.silhouette,
            "stability": self.stability,
            "representatives": [
                {**vars(one), "signs": one.signs.tolist(), "kernel": one.kernel.tolist()}
                for one in self.representatives
            ],
        }
