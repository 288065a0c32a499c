"""The documentation site: what is generated covers everything, its links lead somewhere, its code runs."""

import json
import re
import sys
from pathlib import Path

import pytest

from cnnaudit import demo
from cnnaudit.checks import catalogue

DOCS = Path(__file__).parent.parent / "docs"
HOWTOS = sorted((DOCS / "howto").glob("*.md"))


@pytest.fixture(scope="module")
def generated():
    sys.path.insert(0, str(DOCS))
    try:
        import generated_pages
    finally:
        sys.path.remove(str(DOCS))
    return generated_pages


@pytest.fixture(scope="module")
def pages(tmp_path_factory, generated):
    """All pages, without the figures themselves, which take ten seconds."""
    folder = tmp_path_factory.mktemp("generated")
    return folder, write_without_figures(generated, folder), generated


def write_without_figures(generated, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnnaudit.report.figures.draw", lambda item, prefix: f"<svg>{item['title']}</svg>")
        return generated.write(folder)


def test_every_check_has_a_page_made_of_what_it_says(pages):
    folder, _, _ = pages
    index = (folder / "checks" / "index.md").read_text()
    for id, check in catalogue().items():
        text = (folder / "checks" / f"{id}.md").read_text()
        assert f"]({id}.md)" in index and text.startswith(f"# {id}\n")
        assert all(plant.name.split()[0] in text for plant in check.plants)
        assert f'[checks."{id}"]' in text
        assert ("<svg" in text) == check.null_file.is_file(), id


def test_links_of_the_generated_pages_lead_somewhere(pages):
    folder, written, _ = pages
    home = DOCS / "generated"
    there = {path.relative_to(folder) for path in written}
    for path in written:
        base = home if path.parent == folder else home / path.parent.name
        found = re.findall(r"\]\(([^)#]+\.md)\)|\{figure\} (\S+)", path.read_text())
        for link in (one or two for one, two in found):
            included = path.parent == folder and link.startswith("generated/")  # the page that includes it lies above
            place = (home.parent if included else base) / link
            place = place.resolve()  # `generated/` itself need not be there
            known = place.is_relative_to(home) and place.relative_to(home) in there
            assert known or place.exists(), f"{path.name}: {link}"


def test_a_page_that_has_not_changed_is_left_alone_and_an_old_one_goes(pages):
    folder, written, generated = pages
    times = {path: path.stat().st_mtime_ns for path in written}
    (folder / "checks" / "gone.check.md").write_text("old")
    write_without_figures(generated, folder)
    assert {path: path.stat().st_mtime_ns for path in written} == times
    assert not (folder / "checks" / "gone.check.md").exists()


def test_a_page_shows_the_stored_populations(generated):
    text = generated.page(catalogue()["dataset.leakage"])
    assert "<svg" in text and "clean 1<" in text and "tolerated<" in text and "\n1. digits, random classes: 20" in text


def test_markup_in_a_docstring_is_shown_as_it_is(generated):
    prose = generated.prose
    assert prose("a_b <i> [x] of `c_d`\n  *e*") == r"a\_b \<i\> \[x\] of `c_d` \*e\*"


def test_every_page_of_the_docs_is_in_a_table_of_contents():
    index = (DOCS / "index.md").read_text()
    named = {line for block in re.findall(r"```\{toctree\}(.*?)```", index, re.S) for line in block.split()}
    there = [path.relative_to(DOCS) for path in DOCS.rglob("*.md") if not {"generated", "_build"} & {*path.parts}]
    lost = [path for path in there if {str(path), str(path.with_suffix(""))}.isdisjoint(named)]
    assert lost == [Path("index.md")]


@pytest.mark.parametrize("path", HOWTOS, ids=lambda path: path.stem)
def test_the_code_of_a_howto_is_python(path):
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.S):
        compile(block, str(path), "exec")


def code(name):
    return "\n".join(re.findall(r"```python\n(.*?)```", (DOCS / "howto" / f"{name}.md").read_text(), re.S))


def test_the_cue_of_the_howto_keeps_the_contract():
    import torch

    names: dict = {}
    exec(code("cue").partition("import numpy")[0], names)
    corner, (images, donors) = names["Corner"](), torch.rand(2, 3, 1, 28, 28)
    assert torch.equal(corner.read(corner.transplant(images, donors)), corner.read(donors))
    assert torch.equal(corner.transplant(images, images), images)


def test_the_method_of_the_howto_conforms():
    exec(code("method"), {})  # it ends with the conformance suite


def test_the_notebook_was_run_and_is_what_its_script_writes():
    book = json.loads((DOCS / "notebooks" / "audit.ipynb").read_text())
    made: dict = {"__name__": "make", "__file__": str(DOCS / "notebooks" / "make.py")}
    pytest.importorskip("nbclient", reason="nbclient is not installed (extra: docs)")
    exec((DOCS / "notebooks" / "make.py").read_text(), made)
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in book["cells"]] == made["CELLS"]
    counts = [cell["execution_count"] for cell in book["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert (DOCS / "notebooks" / "audit.ipynb").stat().st_size < 200_000
    shown = json.dumps(book)
    assert demo.EXPECTED_FAILURE in shown and "Traceback" not in shown
