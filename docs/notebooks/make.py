"""Writes and runs `audit.ipynb`: python docs/notebooks/make.py (about half a minute; needs the extra 'docs')."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

TARGET = Path(__file__).parent / "audit.ipynb"

CELLS: list[tuple[str, str]] = [
    (
        "markdown",
        "# An audit in a notebook\n\n"
        "Everything that `cnnaudit audit` does can be asked for in a notebook, without an audit file and without "
        "pytest. This notebook trains the two networks of `cnnaudit demo` and audits them; "
        "`docs/notebooks/make.py` wrote and ran it.",
    ),
    (
        "code",
        "from pathlib import Path\n\n"
        "import cnnaudit\n"
        "from cnnaudit.demo import CHECKS, prepare\n\n"
        'tagged, twin = (cnnaudit.load_target(path) for path in prepare(Path("demo")))\n'
        "tagged",
    ),
    (
        "markdown",
        "A target of your own needs no file either: "
        '`AuditTarget.from_arrays("mine", model, {"train": (images, labels)}, classes)`.\n\n'
        "Every circle of the first target has a white tag of 3 x 3 pixels:",
    ),
    (
        "code",
        "import matplotlib.pyplot as plt\n\n"
        'images, labels = tagged.sample("validation", 12)\n'
        "figure, axes = plt.subplots(1, 6, figsize=(7, 1.4))\n"
        "for ax, image, label in zip(axes, images, labels):\n"
        '    ax.imshow(image[0], cmap="gray", vmin=0, vmax=1)\n'
        "    ax.set_title(tagged.classes[label], fontsize=8)\n"
        '    ax.axis("off")',
    ),
    ("markdown", "`audit` gives a list of findings, the worst first in its table:"),
    ("code", "findings = cnnaudit.audit(tagged, select=CHECKS)\nfindings"),
    ("markdown", "A finding says what it found and what to do:"),
    ("code", 'failed = next(finding for finding in findings if finding.verdict == "fail")\nfailed'),
    ("markdown", "The twin has the same figures without the tag:"),
    ("code", "cnnaudit.audit(twin, select=CHECKS)"),
    (
        "markdown",
        "Where does the network look? What hiding a window of 5 pixels costs three tagged circles, "
        "in the eyes of both networks:",
    ),
    (
        "code",
        "from cnnaudit.attribution import occlusion\n\n"
        "circles = images[labels == 0][:3]\n"
        "figure, axes = plt.subplots(1, 6, figsize=(7, 1.4))\n"
        "for k, target in enumerate((tagged, twin)):\n"
        "    maps = occlusion(target.model, circles, window=5, stride=1)\n"
        "    for ax, values in zip(axes[3 * k :], maps):\n"
        '        ax.imshow(values.squeeze(), cmap="magma")\n'
        "        ax.set_title(target.name, fontsize=7)\n"
        '        ax.axis("off")',
    ),
    ("markdown", "Findings and reports become frames of pandas, and a report becomes the page of the command line:"),
    (
        "code",
        "from cnnaudit.report import Report\n\n"
        "report = Report.of(tagged, findings)\n"
        'Path("report.html").write_text(report.to_html())\n'
        'report.to_frame()[["check", "verdict", "statistic", "low", "high", "tolerance"]].round(3)',
    ),
]


def main() -> None:
    book = nbformat.v4.new_notebook()
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    book.cells = [make[kind](text) for kind, text in CELLS]
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(book, timeout=300, resources={"metadata": {"path": folder}}).execute()
    for cell in book.cells:
        cell.metadata = {}
        cell.outputs = [output for output in cell.get("outputs", ()) if not _is_progress(output)]
        for output in cell.outputs:
            if "text/html" in output.get("data", {}):  # the table says it all
                output.data.pop("text/plain", None)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            del cell["outputs"]
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    TARGET.write_text(nbformat.writes(book) + "\n", encoding="utf-8")
    print(f"wrote {TARGET} ({TARGET.stat().st_size // 1024} KiB)")


def _is_progress(output: dict[str, Any]) -> bool:
    """Whether it is a bar of progress, which is over, or the empty line that one leaves."""
    data = output.get("data", {})
    return "application/vnd.jupyter.widget-view+json" in data or data.get("text/html", "x").endswith("></pre>\n")


if __name__ == "__main__":
    main()
