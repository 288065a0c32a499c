"""`cnnaudit search`: the files it writes, what it prints, how it is interrupted."""

from __future__ import annotations

import pytest
from PIL import Image

from cnnaudit.cli import main
from cnnaudit.pages.search import command, smallest
from cnnaudit.pages.search.figures import frontier
from cnnaudit.training._grid import Architecture
from cnnaudit.training.results import Row
from cnnaudit.training.summary import SearchResult, summarize

TARGET = "fixtures/targets/shapes-2.1-rotation.toml"
CHEAP = ["--images", "60", "--epochs", "2", "--grid", "thesis", "--jobs", "1", "--target-accuracy", "0.99"]


def result(*accuracies: tuple[int, float]) -> SearchResult:
    rows = [
        Row("s", "screen", 0, Architecture(filters=filters), seed, 0, 0, 8, 8, accuracy, accuracy, "trained", 0.0)
        for filters, accuracy in accuracies
        for seed in range(5)
    ]
    return SearchResult(0.9, None, summarize(rows, 0.9), (), True, True, 1.0, 0.3, (60, 60), 3, 0, 1.0)


def test_a_search_writes_a_file_a_figure_and_a_page(tmp_path, capsys):
    assert main(["search", TARGET, *CHEAP, "--results", str(tmp_path)]) == 0
    folder = tmp_path / "shapes-2.1-rotation"
    assert (folder / "search.csv").read_text().startswith("search,purpose,parameters,filters")
    assert Image.open(folder / "search.png").size[0] > 1000
    html = (folder / "search.html").read_text()
    assert "<svg" in html
    assert "validation accuracy" in html
    printed = capsys.readouterr().out
    assert "Table I" in printed
    assert "0.642" in printed
    table = printed[printed.index(" data") :].splitlines()
    assert max(len(line) for line in table if not line.startswith("wrote")) <= 80


def test_without_time_the_page_says_that_nothing_is_known(tmp_path, capsys):
    assert main(["search", TARGET, *CHEAP, "--budget", "1e-9", "--results", str(tmp_path)]) == 0
    assert "Nothing is known yet" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "shapes-2.1-rotation" / "search.html").is_file()


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "search_target", interrupted)
    assert main(["search", TARGET, *CHEAP]) == 2
    assert "The same command continues from there" in capsys.readouterr().err


def test_without_a_file_the_four_data_sets_of_table_i_are_searched(tmp_path, monkeypatch, capsys):
    assert [path.stem for path in command.references()] == list(smallest.REFERENCES)
    monkeypatch.chdir(tmp_path)
    assert main(["search"]) == 4
    assert "name an audit file" in capsys.readouterr().err


def test_callables_with_a_free_seed_give_further_draws():
    from cnnaudit.checks.audit_file import load_target, read

    draw = smallest._draws(read(TARGET), load_target(TARGET), 30)
    assert draw is not None
    (first, _), (second, _) = draw(1)[0], draw(2)[0]
    assert first.shape == second.shape == (30, 1, 28, 28)
    assert not (first == second).all()


def test_the_frontier_holds_what_no_smaller_network_matches():
    found = result((1, 0.5), (2, 0.4), (4, 0.8))
    assert [summary.architecture.filters for summary in frontier(found)] == [1, 4]


@pytest.mark.parametrize("published", [None, (16, 0.642)])
def test_the_figure_is_drawn_with_and_without_networks(published):
    from cnnaudit.pages.search.figures import png

    assert png(result((1, 0.5), (2, 0.9)), published, "Table I").startswith(b"\x89PNG")
    assert png(result(), published, "Table I").startswith(b"\x89PNG")
