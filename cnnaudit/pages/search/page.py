"""The page of a search: the bound, the curve of accuracy against parameters, the tables behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnnaudit.core.evidence import Evidence, table
from cnnaudit.pages.document import Drawing, Section, document
from cnnaudit.pages.output import write
from cnnaudit.pages.search.figures import frontier, paint, png

if TYPE_CHECKING:
    from cnnaudit.pages.search.smallest import Compared
    from cnnaudit.training.summary import SearchResult, Summary


def write_page(folder: Path, name: str, found: SearchResult, compared: Compared) -> Path:
    """Write the figure and the page of a search into a folder; returns the page.

    Raises:
        OutputError: a file cannot be written; the message says where the files are kept.
    """
    point = compared.parameters, compared.validation_accuracy
    drawing = Drawing(
        "Accuracy against parameters",
        lambda: paint(found, point, published_name=compared.name),
        "Each dot is a network from one seed; pale ones belong to architectures that a smaller one matched, or that "
        "were given up after fewer epochs.",
        wide=True,
    )
    how = [
        "A network is chosen among its seeds by training accuracy; validation accuracy is only reported, and asked yes "
        "or no about the candidates. The networks of the candidate named here were trained after it was chosen, from "
        "seeds (and where the data can be drawn anew, on data) that played no part in choosing it.",
        "The number is an upper bound: a better training or another architecture may need fewer. 'None smaller does' "
        "holds for the architectures tried, with the epochs and seeds that the table gives.",
    ]
    sections = [
        Section("The bound", found.sentences(), [drawing]),
        Section("The best architectures by size", [], [_front_table(found)] if found.summaries else []),
        Section("Fresh seeds", [], [_fresh_table(found)] if found.confirmations else []),
        Section("How to read this", how),
    ]
    lead = found.sentences()[0]
    html = document(name, lead, [s for s in sections if s.parts or s.text], "minimum model")
    path = folder / "search.html"
    write({folder / "search.png": png(found, point, compared.name), path: html})
    return path


def _front_table(found: SearchResult) -> Evidence:
    rows = [
        [
            summary.parameters,
            str(summary.architecture),
            summary.given,
            _counted(summary),
            f"{summary.best.train_accuracy:.3f} / {summary.best.validation_accuracy:.3f}",
            " / ".join(f"{value:.3f}" for value in summary.quartiles),
        ]
        for summary in frontier(found)
    ]
    names = (
        "size",
        "network",
        "epochs",
        "seeds that reach it",
        "best: training / validation",
        "quartiles",
    )
    title = (
        "Architectures better than every smaller one, size in parameters; the best seed is chosen by training accuracy"
    )
    return table(title, names, rows)


def _fresh_table(found: SearchResult) -> Evidence:
    rows = [
        [
            summary.parameters,
            str(summary.architecture),
            group.rows[0].draw or "as given",
            _counted(group),
            f"{group.best.train_accuracy:.3f} / {group.best.validation_accuracy:.3f}",
            " / ".join(f"{value:.3f}" for value in group.quartiles),
        ]
        for summary in found.confirmations
        for group in summary.groups
    ]
    names = ("size", "network", "draw of the data", "seeds that reach it", "best: training / validation", "quartiles")
    return table("Each line: one draw of the data, the best of its seeds by training accuracy", names, rows)


def _counted(summary: Summary) -> str:
    """How many seeds reach the accuracy, and how many died."""
    dead = f" ({summary.dead} dead)" if summary.dead else ""
    return f"{summary.reached} of {len(summary.rows)}{dead}"
