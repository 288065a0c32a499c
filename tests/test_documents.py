"""What the documents say is so: links, commands, the table of checks, the length of the README."""

import re
from pathlib import Path

import pytest

from cnnaudit.checks import catalogue
from cnnaudit.cli import _parser
from cnnaudit.report.catalogue import catalogue_markdown

ROOT = Path(__file__).parent.parent
DOCS = [p for p in (ROOT / "docs").rglob("*.md") if not {"generated", "_build"} & {*p.parts}]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS)]


def test_the_table_of_checks_is_that_of_the_checks_and_their_stored_nulls():
    told = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    assert told == catalogue_markdown(list(catalogue().values())), "run: cnnaudit checks --markdown > docs/checks.md"


def test_the_readme_is_read_in_five_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) < 1_000


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)|\{(?:image|include|figure)\} (\S+)|src=\"([^\"]+)\"", text):
        address = next(filter(None, link))
        made = address.startswith("generated/")  # when the site is built; tests/test_site.py follows these
        assert address.startswith("https://") or made or (path.parent / address).exists(), f"{path.name}: {address}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_are_named_exist(path):
    known = next(a for a in _parser()._actions if a.dest == "command").choices
    named = set(re.findall(r"(?<![\w/])cnnaudit ([a-z]+)\b(?! is| has| and| answers| does)", _code(path)))
    assert named <= set(known), f"{path.name} names {named - set(known)}"


def _code(path: Path) -> str:
    """What stands as code: in backticks, in fences and indented."""
    found = re.findall(r"`([^`\n]+)`|^ {4}(.+)$", path.read_text(encoding="utf-8"), re.M)
    return "\n".join(inline or indented for inline, indented in found)
