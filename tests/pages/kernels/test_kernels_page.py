"""The report on kernels: layers and kinds beside their nulls; it goes on where it stopped; bad input is told."""

import functools
import importlib.util
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit import units
from cnnaudit.cli import main
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import LayerError
from cnnaudit.pages.kernels import layer as kernels_layer
from cnnaudit.pages.kernels.densities_section import densities_section
from cnnaudit.pages.kernels.index import agreement, index_page
from cnnaudit.pages.kernels.layer import examine
from cnnaudit.pages.kernels.layer_page import Facts, layer_page
from cnnaudit.pages.kernels.report import Options, write_kernels
from cnnaudit.pages.kernels.ring_figures import ring_figure, sectors
from cnnaudit.target import AuditTarget
from cnnaudit.units import LayerKernels, layer_share
from cnnaudit.units._kind_subject import OptimizedUnits, Subject
from cnnaudit.units.kinds import KINDS, NONE, Counted, Kind, count, pooled


def network(channels=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(channels, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
        )  # fmt: skip
    with torch.no_grad():
        net[2].bias[3] = -100  # dead
        net[2].weight[5] = -net[2].weight[4].flip(1)  # a copy
    return net


def target(model=None, channels=3):
    images = torch.rand(12, channels, 16, 16, generator=torch.Generator().manual_seed(1))
    split = {"validation": (images, torch.arange(12) % 3)}
    return AuditTarget.from_arrays("net <x>", model or network(channels), split, ("a", "b", "c"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without UMAP, whose first call compiles for seconds, and with few nulls."""
    monkeypatch.setattr(units, "cluster", functools.partial(units.cluster, embed=False))
    monkeypatch.setattr(kernels_layer, "DRAWS", 1)
    monkeypatch.setattr(kernels_layer, "RESAMPLES", 3)


def write(tmp_path, **options):
    return write_kernels(target(), Options(output=tmp_path, images=12, jobs=1, **options))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "cluster", functools.partial(units.cluster, embed=False))
        patch.setattr(kernels_layer, "DRAWS", 1)
        patch.setattr(kernels_layer, "RESAMPLES", 3)
        paths = write(tmp_path_factory.mktemp("reports"))
    return {path.name: path.read_text() for path in paths}


def test_every_spatial_layer_has_a_page_and_the_index_links_them(written):
    assert list(written) == ["index.html", "0.html", "2.html", "2-graph.html"]  # layer 0 has 36 kernels: no density
    index = written["index.html"]
    assert '<a href="0.html">0 (3 x 3)</a>' in index and '<a href="2.html">' in index
    assert "1 layer of 1x1 kernels left out, which have no shape: 4." in index
    assert '<a href="2-graph.html">' in written["2.html"] and '<a href="2.html">' in written["2-graph.html"]
    assert "2-graph.html" not in written["0.html"] and "a density needs 40 kernels" in written["0.html"]


def test_kinds_stand_beside_their_intervals_and_nulls(written):
    index = written["index.html"]
    for kind in KINDS:
        assert f"units that are {kind.title}" in index
    dead = re.search(r"<h2>Units that are dead</h2>.*?</article>", index, re.S)[0]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", dead)
    assert cells[6:10] == ["2", "16", "1", "6.25%"] and "untrained twin" in cells[11] and cells[12] == "all"
    of_layer = written["2.html"]
    assert re.search(r"<td>dead</td><td[^>]*>1</td>.*?<td>3</td>", of_layer, re.S)
    assert re.search(r"<td>duplicates</td><td[^>]*>2</td>.*?<td>4, 5</td>", of_layer, re.S)


def test_a_layer_page_shows_kernels_groups_ring_and_graph(written):
    page = written["2.html"]
    for title in ("Averaged kernels", "Their signs", "Groups of units", "Is there a ring?", "Mapper graph"):
        assert title in page
    assert "Of 192 kernels, each of mean 0 and norm 1" in page and "keeps the densest 30%, 58" in page
    assert "At variance 1, the published scale" in page and "These are descriptions" in page


def test_pages_fetch_nothing_and_escape_names(written):
    for name, page in written.items():
        assert "net &lt;x&gt;" in page and "<x>" not in page, name
        assert "://" not in page.replace("http://www.w3.org", ""), name
        assert ("<script" in page) == ("<canvas" in page), name


def test_gray_images_have_no_color_and_the_index_says_so(tmp_path):
    paths = write_kernels(target(channels=1), Options(("2",), images=12, jobs=1, output=tmp_path))
    index = paths[0].read_text()
    assert (
        "Not measured: color-blind (kernels), color-blind (hue), color-blind (optimized images) and color-blind "
        "(published rule), because gray images have no color." in index
    )


def test_a_report_goes_on_where_it_was_stopped_and_nothing_is_half_written(tmp_path, monkeypatch, capsys):
    asked = []

    def stopping(kernels, seed, *settings):
        asked.append(kernels.layer)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return examine(kernels, seed)

    monkeypatch.setattr(kernels_layer, "examine", stopping)
    monkeypatch.setattr("cnnaudit.checks.audit_file.load_target", lambda path: target())
    command = ["kernels", "audit.toml", "--images", "12", "--jobs", "1", "--output", str(tmp_path)]
    assert main(command) == 2
    assert f"{len(KINDS) + 1} finished parts" in capsys.readouterr().err
    (folder,) = tmp_path.glob("*/kernels")
    assert {path.name for path in folder.iterdir()} == {"2.html", "2-graph.html", "work"}
    counts = len(list((folder / "work").iterdir()))
    monkeypatch.setattr("cnnaudit.pages.kernels.report.count", lambda kind, subject: pytest.fail(f"{kind.name} again"))
    assert main(command) == 0
    assert asked == ["2", "0", "0"] and len(list((folder / "work").iterdir())) == counts + 1
    assert "3 pages of layers beside it" in capsys.readouterr().out
    first = (folder / "index.html").read_text()
    (folder / "work" / "dead-0.json").write_text("{")  # of no part
    assert main(command) == 0 and len(asked) == 3
    assert (folder / "index.html").read_text() == first


def test_other_weights_are_another_report(tmp_path):
    write(tmp_path, layers=("0",))
    other = network()
    with torch.no_grad():
        other[0].weight.mul_(2)
    write_kernels(target(other), Options(("0",), images=12, jobs=1, output=tmp_path))
    assert len(list(tmp_path.glob("*/kernels/work/0-*.json"))) == 2


def test_kernels_of_one_line_are_shown_when_they_are_named_or_alone(tmp_path):
    lines = nn.Conv2d(3, 4, (1, 3), padding=(0, 1))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    both = target(nn.Sequential(nn.Conv2d(3, 3, 3), lines, *head))
    options = Options(images=12, jobs=1, output=tmp_path)
    paths = write_kernels(both, options)
    assert [path.name for path in paths] == ["index.html", "0.html"]
    assert "1 layer of one row or column left out; name them with --layers." in paths[0].read_text()
    named = write_kernels(both, Options(("1",), images=12, jobs=1, output=tmp_path))
    assert [path.name for path in named] == ["index.html", "1.html"]
    alone = write_kernels(target(nn.Sequential(lines, *head)), options)
    assert [path.name for path in alone] == ["index.html", "0.html"]


def test_bad_input_is_told(tmp_path, monkeypatch):
    with pytest.raises(LayerError, match="no convolution is called '9'; there is 0, 2, 4"):
        write(tmp_path, layers=("9",))
    with pytest.raises(UnsupportedError, match="1 layer of 1x1 kernels left out, which have no shape: 4"):
        write(tmp_path, layers=("4",))
    with pytest.raises(UnsupportedError, match="no 2-d convolution"):
        write_kernels(target(nn.Sequential(nn.Flatten(), nn.Linear(768, 3))), Options(output=tmp_path))
    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ripser" else spec(name))
    with pytest.raises(UnsupportedError, match=r'needs ripser: pip install "cnnaudit\[topology\]"'):
        write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_has_the_exit_status_of_the_others(tmp_path, capsys):
    assert main(["kernels", str(tmp_path / "absent.toml"), "--output", str(tmp_path)]) == 4
    assert "absent.toml" in capsys.readouterr().err
    for option in ("--images", "--jobs"):
        with pytest.raises(SystemExit) as stop:
            main(["kernels", "audit.toml", option, "0"])
        assert stop.value.code == 4 and f"argument {option}: " in capsys.readouterr().err


def test_all_layers_together_weigh_nulls_by_units():
    rows = [
        layer_share("a", 10, [1, 2], null=0.1, null_name="x"),
        layer_share("b", 30, [0], null=0.5, null_name="x"),
        layer_share("c", 60, []),
    ]
    whole = pooled(rows)
    assert (whole.units, len(whole.found), whole.null, whole.null_name) == (100, 3, pytest.approx(0.4), "x")
    assert whole.interval[0] < 0.03 < whole.interval[1]


def of_share(found, units=1000, null=0.01):
    kind = Kind("k", "odd", "It is odd.", "some", lambda subject: [])
    return Counted(kind, (layer_share("a", units, range(found), null=null),))


@pytest.mark.parametrize("found, said", [(100, "yes"), (16, "no"), (10, "no"), (1, "no, fewer")])
def test_beyond_chance_is_more_than_the_null_has_among_as_many(found, said):
    page = index_page("t", [Facts("a", 1000, 1, (3, 3))], [of_share(found)], "", 9)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
    assert cells[0] == "units that are odd" and cells[4] == said


def test_readings_of_color_are_compared_by_kappa():
    kinds = {kind.name: kind for kind in KINDS}
    one = Counted(kinds["gray-kernels"], (layer_share("a", 10, [0, 1, 2, 3]),))
    other = Counted(kinds["hue"], (layer_share("a", 10, [2, 3, 4]), layer_share("b", 90, [])))
    (said,) = agreement([one, other])
    assert "In the 1 layer measured both ways, 10 units: color-blind (kernels) 4, color-blind (hue) 3, both 2." in said
    assert "kappa 0.348." in said  # (.7 - .54) / .46
    assert agreement([one]) == []


def test_optimized_images_of_an_atlas_are_read_where_they_exist(tmp_path, monkeypatch):
    from cnnaudit.pages.atlas import Settings
    from cnnaudit.pages.atlas.files import Options as AtlasOptions
    from cnnaudit.pages.atlas.files import write_atlas

    few = Settings((3, 16, 16), steps=3)
    monkeypatch.setattr("cnnaudit.pages.atlas.files.settings_of", lambda target, options=None: few)
    write_atlas(target(), AtlasOptions(("0",), units=3, output=tmp_path))
    index = write(tmp_path, layers=("0", "2"))[0].read_text()
    part = re.search(r"<h2>Units that are color-blind \(optimized images\)</h2>.*?</article>", index, re.S)[0]
    assert re.findall(r"<td[^>]*>(.*?)</td>", part)[:2] == ["0", "12"] and "measured both ways" in index


def test_a_ring_is_a_loop_beyond_both_nulls():
    ring = {"ring": 0.5, "ring_null": 0.2, "stable_loop": 9}
    layers = [Facts("a", 9, 9, (3, 3), ring_p=0.02, **ring), Facts("b", 9, 9, (3, 3), ring_p=0.2, **ring)]
    page = index_page("t", layers, [], "", 9)
    assert "a loop longer than any null gives in 1 of 2 layers" in page
    assert "a loop of 6 edges or more in half of all covers in 2 of 2 layers" in page


def test_a_kind_that_cannot_be_asked_has_a_reason():
    def refuse(subject):
        raise UnsupportedError("no border")

    subject = Subject(network(), torch.rand(2, 3, 8, 8), ("0",))
    assert count(Kind("k", "k", "", "", refuse), subject).reason == "no border"
    elsewhere = Kind("k", "k", "", "", lambda subject: [layer_share("9", 3, [])])
    assert count(elsewhere, subject) == Counted(elsewhere, (), NONE)


def test_constant_kernels_are_left_out_and_counted():
    weights = np.random.default_rng(0).normal(size=(10, 10, 3, 3)).astype(np.float32)
    weights[0] = 1
    found = examine(LayerKernels("c", weights))
    kept = found.dense
    assert found.constant == 10 and kept.rows.min() >= 10 and len(kept.rows) == 27
    assert np.allclose(np.linalg.norm(kept.shapes, axis=1), 1)
    page = layer_page("t", found, [])
    assert "(10 constant kernels left out)" in page


def test_a_layer_without_any_pattern_says_what_is_missing():
    page = layer_page("t", examine(LayerKernels("c", np.ones((4, 2, 3, 3), np.float32))), [])
    assert page.count("Not shown: ") == 3


def test_kernels_stand_around_the_ring_by_their_angle():
    angles = np.radians([0, 2, 358, 90, 180, np.nan])
    assert sectors(angles[:5]).tolist() == [0, 0, 0, 4, 8]
    y, x = np.mgrid[1:-2:-1, -1:2]
    shapes = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y
    axes = ring_figure(shapes, angles).axes[0]
    grays = axes.collections[0].get_facecolor()[:, 0].reshape(3, 3, 3)
    assert np.allclose(grays[0][:, 2], 1, atol=0.01) and np.allclose(grays[1][0], 1, atol=0.01)  # right, then up
    corners = np.array([path.vertices[0] for path in axes.collections[0].get_paths()]).reshape(3, 9, 2)
    assert corners[1][:, 1].min() > 0.8 and corners[1][0, 1] > corners[1][8, 1]  # at the top, its first row above
    assert axes.texts[0].get_text() == "most:\n3"


def test_groups_and_mapper_follow_the_options_and_other_options_do_not_read_them(tmp_path):
    options = Options(("2",), images=12, jobs=1, output=tmp_path)
    page = next(path for path in write_kernels(target(), options) if path.name == "2.html")
    before = page.read_text()
    asked = replace(options, clusters=3, bins=4, overlap=0.2, eps=0.8, min_samples=2, crop=0.6, mapper="kmapper")
    write_kernels(target(), asked)
    after = page.read_text()
    assert "put into 3 groups" in after and "put into 3 groups" not in before
    assert "keeps the densest 60%" in after and "4 bins each with 20% overlap" in after
    assert "eps 0.8 and 2 samples, by KeplerMapper" in after and "KeplerMapper" not in before


def test_units_whose_optima_have_one_peak_are_blind_by_the_published_rule():
    rng = np.random.default_rng(0)
    images = np.repeat(rng.integers(0, 256, (3, 1, 12, 12), dtype=np.uint8), 3, axis=1)
    images[1, 0] = 10  # red has another peak than green and blue
    network = target().model
    subject = Subject(
        network, torch.rand(4, 3, 16, 16), ("2",), optima={"2": OptimizedUnits(np.array([1, 4, 6]), images)}
    )
    (row,) = count(next(kind for kind in KINDS if kind.name == "peaks-of-optima"), subject).rows
    assert row.found == (1, 6) and row.units == 16


def test_the_unit_whose_lines_differ_most_has_its_densities():
    weights = np.random.default_rng(0).normal(size=(5, 12, 3, 3)).astype(np.float32)
    weights[3, :, 0] += 4
    weights[3, :, :, 2] -= 4
    section = densities_section(examine(LayerKernels("c", weights)), ())
    assert [part.title for part in section.parts] == ["Rows of unit 3", "Columns of unit 3"]
    lines = section.parts[0].paint().axes[0].lines
    assert [line.get_label() for line in lines] == ["row 1", "row 2", "row 3"]
    x, y = lines[1].get_data()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.05)
    color = densities_section(examine(LayerKernels("c", weights[:, :3])), ())
    assert color.parts[-1].title == "Weights by input channel"
    flat = densities_section(examine(LayerKernels("c", weights[:, :, :2, :2])), ())
    assert not flat.parts and "fewer than 3 rows and columns" in flat.text[0]
