"""The graph of Mapper over kernels as a page: drawn on a canvas, kernels in the tooltips, a search, a table."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnaudit.core.errors import DataError
from cnnaudit.pages.kernels.coloring import Coloring, own_colorings
from cnnaudit.pages.kernels.mapper_data import Members, packed_data, table_rows
from cnnaudit.report.words import plural
from cnnaudit.topology import MapperGraph


def write_mapper_page(
    graph: MapperGraph,
    kernels: np.ndarray,
    units: Sequence[str],
    inputs: Sequence[int] | np.ndarray,
    path: Path,
    *,
    title: str,
    colorings: Sequence[Coloring] = (),
    text: Sequence[str] = (),
    eyebrow: str = "Mapper graph of kernels",
    back: tuple[str, str] | None = None,
) -> Path:
    """Write the graph as one page that needs no network, whole or not at all, and return its path.

    Args:
        graph: of `topology.mapper`, over N points.
        kernels: (N, h, w), as they were clustered; each is shown on its own scale, gray 0.
        units: (N,) names of the units that the kernels belong to.
        inputs: (N,) numbers of the input channels.
        colorings: what color may show, angles first; the direction of the slope and the likeness of the members are
            always there. The page begins with the first.
        text: paragraphs that say where the points come from.
        back: a link to another page: its text and its address.

    Raises:
        DataError: not as many kernels, names or values as points.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from cnnaudit.topology import mapper
        >>> kernels = np.random.default_rng(0).normal(size=(60, 3, 3))
        >>> graph = mapper(kernels.reshape(60, 9), kernels[:, 0, :2], bins=2, eps=3)
        >>> names = [f"conv1_{k // 3}" for k in range(60)]
        >>> path = Path(tempfile.mkdtemp()) / "graph.html"
        >>> write_mapper_page(graph, kernels, names, np.arange(60) % 3, path, title="conv1").name
        'graph.html'
    """
    from cnnaudit.core.files import write_whole

    html = mapper_page(
        graph, kernels, units, inputs, title=title, colorings=colorings, text=text, eyebrow=eyebrow, back=back
    )
    write_whole({path: html})
    return path


def mapper_page(
    graph: MapperGraph,
    kernels: np.ndarray,
    units: Sequence[str],
    inputs: Sequence[int] | np.ndarray,
    *,
    title: str,
    colorings: Sequence[Coloring] = (),
    text: Sequence[str] = (),
    eyebrow: str = "Mapper graph of kernels",
    back: tuple[str, str] | None = None,
) -> str:
    """The page of `write_mapper_page` as HTML. One script draws; its hash is the only one that the page allows."""
    from markupsafe import Markup

    from cnnaudit.report.html import templates

    members = Members(np.asarray(kernels, dtype=float), list(map(str, units)), np.asarray(inputs, dtype=np.int64))
    if not len(members.kernels) == len(members.units) == len(members.inputs) == graph.points:
        raise DataError(
            f"write_mapper_page: {graph.points} points need as many kernels, units and inputs, got "
            f"{len(members.kernels)}, {len(members.units)} and {len(members.inputs)}"
        )
    means = np.array([members.kernels[own].mean(0) for own in graph.nodes]).reshape(-1, *members.kernels.shape[1:])
    values = [(coloring, coloring.of_nodes(graph)) for coloring in colorings]
    values += [(coloring, coloring.values) for coloring in own_colorings(graph, members.kernels, means)]
    values.sort(key=lambda pair: not pair[0].circular)  # what runs around comes first
    environment = templates()
    assert environment.loader is not None
    script = environment.loader.get_source(environment, "mapper.js")[0].strip()
    return environment.get_template("mapper.html.j2").render(
        title=title,
        eyebrow=eyebrow,
        back=back,
        lead=_lead(graph),
        text=text,
        data=packed_data(graph, members, means, values),
        common=members.common,
        columns=[coloring.title for coloring, _ in values],
        rows=table_rows(graph, members, means, values),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _lead(graph: MapperGraph) -> str:
    inside = len(np.unique(np.concatenate(graph.nodes))) if graph.nodes else 0
    if not graph.nodes:
        return f"The graph is empty: none of the {plural(graph.points, 'kernel')} has enough others near it."
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(graph.nodes)
    joined = coo_array((np.ones(len(graph.edges)), (graph.edges[:, 0], graph.edges[:, 1])), shape=(n, n))
    count, label = connected_components(joined, directed=False)
    largest = int(np.bincount(label).max())
    return (
        f"{plural(n, 'node')} and {plural(len(graph.edges), 'edge')} over {inside:,} of "
        f"{plural(graph.points, 'kernel')}, in {plural(count, 'component')}, the largest of {plural(largest, 'node')}."
    )
