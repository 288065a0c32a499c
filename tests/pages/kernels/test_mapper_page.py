"""The page and the figure of a Mapper graph: everything is there, nothing is fetched, names are escaped."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest

from cnnaudit.core.errors import DataError
from cnnaudit.pages.kernels.coloring import Coloring
from cnnaudit.pages.kernels.mapper_data import SHOWN, Members
from cnnaudit.pages.kernels.mapper_figure import MOST, caption, largest_nodes, mapper_figure
from cnnaudit.pages.kernels.mapper_graph import mapper_page, write_mapper_page
from cnnaudit.report import figures
from cnnaudit.topology import MapperGraph, mapper

ANGLES = np.linspace(0, 2 * np.pi, 400, endpoint=False)
EVIL = "</script><script>alert(1)</script>_7"


def edges_around():
    """Kernels 3 x 3 whose slopes go once around, in the order of their angle."""
    y, x = np.mgrid[1:-2:-1, -1:2]
    return (np.cos(ANGLES)[:, None, None] * x + np.sin(ANGLES)[:, None, None] * y) / np.sqrt(6)


def around(bins=3, **settings):
    kernels = edges_around()
    lens = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    return mapper(kernels.reshape(400, 9), lens, bins, 0.2, **{"eps": 0.1, **settings}), kernels


def made(**settings):
    graph, kernels = around()
    units = [EVIL if k // 4 == 7 else f"conv1_{k // 4}" for k in range(400)]
    asked = {"title": "Layer <b>", "colorings": [Coloring("angle", ANGLES, circular=True)], **settings}
    return mapper_page(graph, kernels, units, np.arange(400) % 4, **asked), graph


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def array(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def test_every_node_and_edge_is_there():
    html, graph = made()
    data = data_of(html)
    assert len(array(data["places"], "<f4")) == 2 * len(graph.nodes) == 2 * html.count('<tr id="row-')
    assert array(data["edges"], "<u4").reshape(-1, 2).tolist() == graph.edges.tolist()
    assert array(data["members"], "<u4").tolist() == [len(node) for node in graph.nodes]
    assert f"{len(graph.nodes)} nodes and {len(graph.edges)} edges over 400 of 400 kernels, in 1 component" in html


def test_the_search_knows_which_units_are_in_which_node():
    html, graph = made()
    data = data_of(html)
    start, unit, count = (array(data[name], "<u4") for name in ("unitStart", "unit", "unitCount"))
    for node, members in enumerate(graph.nodes):
        found = {data["names"][u]: c for u, c in zip(unit[start[node] :], count[start[node] : start[node + 1]])}
        wanted = {}
        for k in members:
            name = EVIL if k // 4 == 7 else f"conv1_{k // 4}"
            wanted[name] = wanted.get(name, 0) + 1
        assert found == wanted


def test_a_node_shows_kernels_from_the_nearest_to_the_mean_to_the_farthest():
    html, graph = made()
    data, kernels = data_of(html), edges_around()
    start, shown = array(data["shown"], "<u4"), array(data["kernels"], "u1").reshape(-1, 9)
    assert np.diff(start).tolist() == [min(SHOWN, len(node)) for node in graph.nodes]
    own = kernels[graph.nodes[0]].reshape(-1, 9)
    away = np.linalg.norm(own - own.mean(0), axis=1)
    ends = own[[away.argmin(), away.argmax()]]
    gray = 128 + (127 * ends / np.abs(ends).max(1, keepdims=True)).round()
    assert np.array_equal(shown[[0, start[1] - 1]], gray)
    means = array(data["means"], "u1").reshape(-1, 9)
    assert means.max(1).tolist() == [255] * len(means) and (means[:, 4] == 128).all()


def test_colors_are_means_over_the_members_on_the_circle_where_they_are_angles():
    html, graph = made(colorings=[Coloring("angle", ANGLES, circular=True), Coloring("place", np.arange(400.0))])
    angle, slope, place, alike = data_of(html)["colorings"]  # angles first
    values = array(angle["values"], "<f4")
    assert angle["circular"] and np.allclose(np.cos(values), np.cos(array(slope["values"], "<f4")), atol=1e-3)
    across = [node for node in graph.nodes if 0 in node and 399 in node]
    which = [k for k, node in enumerate(graph.nodes) if 0 in node and 399 in node]
    assert across and np.cos(values[which[0]]) > 0.9  # not the mean of 0 and 2 pi
    assert np.allclose(array(place["values"], "<f4"), [node.mean() for node in graph.nodes])
    assert 0.9 < alike["low"] <= alike["high"] <= 1
    holes = Coloring("some", np.where(np.arange(400) < 10, 1.0, np.nan)).of_nodes(graph)
    assert np.isnan(holes).any() and np.nanmax(holes) == 1


def test_the_page_fetches_nothing_allows_one_script_and_escapes_names():
    html, _ = made(text=["<img src=x>"], back=("all <layers>", "index.html"))
    script = re.findall(r"<script>(.*?)</script>", html, re.S)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1 and policy.endswith(f"script-src 'sha256-{digest}'")
    assert "://" not in html and "alert(1)</script>" not in html and "Layer &lt;b&gt;" in html
    assert "&lt;img" in html and "all &lt;layers&gt;" in html and EVIL in data_of(html)["names"]


def test_what_all_names_begin_with_is_said_once():
    graph, kernels = around()
    units = [f"mixed4b_{k // 4}" for k in range(400)]
    html = mapper_page(graph, kernels, units, np.arange(400) % 4, title="t")
    assert data_of(html)["common"] == len("mixed4b_") and "(units mixed4b_…)" in html
    assert Members(kernels, ["a_12", "a_13"], np.zeros(2)).common == "a_" and Members(kernels, ["u"], [0]).common == ""


def test_an_empty_graph_is_a_page_that_says_so(tmp_path):
    graph, kernels = around(eps=1e-6)
    path = write_mapper_page(graph, kernels, ["u"] * 400, np.zeros(400), tmp_path / "g.html", title="t")
    html = path.read_text()
    assert "The graph is empty: none of the 400 kernels" in html and "<script" not in html
    assert "no node" in figures.svg(lambda: mapper_figure(graph, kernels), "g", "g")


def test_what_does_not_fit_the_graph_is_told_and_nothing_is_written(tmp_path):
    graph, kernels = around()
    with pytest.raises(DataError, match="400 points need as many kernels, units and inputs, got 400, 3 and 400"):
        write_mapper_page(graph, kernels, ["a"] * 3, np.zeros(400), tmp_path / "g.html", title="t")
    with pytest.raises(DataError, match="angle: expected a value for each of 400"):
        made(colorings=[Coloring("angle", ANGLES[:9])])
    assert not list(tmp_path.iterdir())


def test_a_figure_keeps_the_largest_nodes_of_the_largest_components():
    nodes = [np.arange(k + 1) for k in range(100)]
    chain = np.array([[k, k + 1] for k in range(79)])  # 80 nodes, the others alone
    graph = MapperGraph(nodes, chain, 100)
    assert largest_nodes(graph).tolist() == list(range(20, 80))
    assert f"The {MOST} largest nodes" in caption(graph) and "40 nodes left out" in caption(graph)
    assert "left out" not in caption(MapperGraph(nodes[:3], chain[:2], 100))
    drawn = mapper_figure(graph, np.random.default_rng(0).normal(size=(100, 3, 3)))
    squares, lines = drawn.axes[0].collections[1], drawn.axes[0].collections[0]
    assert len(squares.get_paths()) == MOST * 9 and len(lines.get_segments()) == MOST - 1
    assert {text.get_text() for text in drawn.axes[0].texts} == {str(k + 1) for k in range(20, 80)}


def test_a_figure_draws_each_kernel_on_its_own_scale():
    graph, kernels = around()
    drawn = mapper_figure(graph, 1e-3 * kernels)
    grays = drawn.axes[0].collections[1].get_facecolor()[:, 0].reshape(len(graph.nodes), 9)
    assert np.allclose(np.abs(grays - 0.5).max(1), 0.5)
    mean = kernels[graph.nodes[0]].mean(0).ravel()
    assert np.corrcoef(grays[0], mean)[0, 1] > 0.999
