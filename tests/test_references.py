"""Published numbers and names are quoted as the documents print them, everywhere in the project."""

import re
from pathlib import Path

import pytest

from cnnaudit.core.errors import AuditError
from cnnaudit.models import lenet, minimum, mnist_cnn, vgg4
from cnnaudit.pages.kernels import index
from cnnaudit.references import DOCUMENTS, GOOGLENET_UNITS, PUBLISHED, published
from cnnaudit.studies.thesis import TABLE_I
from cnnaudit.units.kinds import KINDS

ROOT = Path(__file__).parent.parent
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [*DOCS, *sorted((ROOT / "cnnaudit").rglob("*.py")), *sorted((ROOT / "fixtures").rglob("*.toml"))]
NUMBER = re.compile(r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+|\d*\.\d+|\d+)(?![\w]|[.,]\d)")


def numbers(text: str) -> list[float]:
    """The numbers in a text, without years in parentheses, names of data sets and sizes of kernels."""
    bare = re.sub(r"\(?\b(?:19|20)\d\d\)?|^\s*\d\.\d\b|\d+x\d+", "", text)
    return [float(found.replace(",", "")) for found in NUMBER.findall(bare)]


def allowed() -> set[float]:
    """What may be quoted: the numbers as printed, as percentages, and the shares that follow from two of them."""
    values = {value for entry in PUBLISHED.values() for value in entry.values}
    shares = {round(100 * published("border_aware.eye.sum").value / published("googlenet.units").value, 1)}
    return values | {round(100 * value, 2) for value in values if value < 1} | shares


def published_cells(path: Path) -> list[str]:
    """The cells of every column of a Markdown table whose heading begins with 'published'."""
    cells, columns = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not row:
            columns = []
        elif not columns and any(cell.startswith("published") for cell in row):
            columns = [k for k, cell in enumerate(row) if cell.startswith("published")]
        elif columns:
            cells += [row[k] for k in columns if set(row[k]) - set("-:")]
    return cells


def test_the_documents_quote_only_numbers_of_the_table():
    cells = [cell for path in DOCS for cell in published_cells(path)]
    assert len(cells) > 10
    for cell in cells:
        assert set(numbers(cell)) <= allowed(), f"{cell!r} quotes {set(numbers(cell)) - allowed()}"


def test_the_pages_quote_only_numbers_of_the_table():
    rows = [*(kind.literature for kind in KINDS), *(index._of_groups([])[1:2]), *(index._of_ring([])[1:2])]
    assert any(numbers(row) for row in rows)
    for row in rows:
        assert set(numbers(row)) <= allowed(), row


def test_a_number_that_is_not_published_is_found():
    assert numbers("color-blind units: 326 by 24 of 5,484 (2019)") == [326, 24, 5484]
    assert 326 not in allowed() and 336 in allowed()


def test_sums_are_those_of_the_tables():
    for name, total in (("color_blind.rule", 336), ("color_blind.eye", 43), ("border_aware.rule", 24)):
        assert sum(published(name).values) == published(f"{name}.sum").value == total
        assert len(published(name).values) == len(GOOGLENET_UNITS)
    printed = (15.62, 0.41, 0.19)  # table 1's percentages; the layer sizes follow from them
    for count, share, units in zip(published("color_blind.eye").values, printed, GOOGLENET_UNITS.values()):
        assert 100 * count / units == pytest.approx(share, abs=0.011)


def test_parameters_are_those_of_the_networks():
    for name, model in (("lenet", lenet()), ("vgg4", vgg4()), ("mnist_cnn", mnist_cnn())):
        assert sum(p.numel() for p in model.parameters()) == published(f"{name}.parameters").value
    for dataset, line in TABLE_I.items():
        parameters, features, train, validation = published(f"minimum.{dataset}").values
        model = minimum(**line.arguments)
        assert sum(p.numel() for p in model.parameters()) == parameters == line.parameters
        assert (line.train_accuracy, line.validation_accuracy) == (train, validation)
        assert features == (28 // line.arguments.get("pool", 28)) ** 2


def test_authors_have_their_own_initials():
    for author in (author for document in DOCUMENTS for author in document.authors.split(", ")):
        *given, last = author.replace("von ", "von-").split()
        initials, last = "".join(f"{name[0]}." for name in given), last.replace("-", " ")
        for path in (path for path in TEXTS if path.name != "references.py"):  # which has the names in full
            for found in re.findall(rf"((?:\b[A-Z]\. ?)+){last}\b", path.read_text(encoding="utf-8")):
                assert found.replace(" ", "") == initials, f"{path}: {found}{last}, expected {author}"


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(AuditError, match=r"did you mean 'lenet\.accuracy'"):
        published("lenet.acuracy")
