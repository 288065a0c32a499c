"""A page of titled sections with drawings, pictures, tables and evidence, in the look of the audit's reports."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.evidence import Evidence
from cnnaudit.pages.output import write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A Matplotlib figure, inlined as SVG that follows the page's colors.

    Attributes:
        title: above the figure, and read to people who cannot see it.
        paint: makes the figure; called with the page's style in force. Colors are those of `report.figures` (`INK`,
            `CLEAN`, `DEFECT`, `MARK`, …) so that the dark mode works; 4 inches wide fill a column.
        caption: what to look for, in one sentence.
        wide: over the whole page.
    """

    title: str
    paint: Callable[[], Figure]
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Picture:
    """A bitmap: a grid of feature maps, a photograph with its segments.

    Attributes:
        png: the file's bytes.
        alt: what is seen, for people who cannot see it.
        wide: over the whole page; else a column.
    """

    title: str
    png: bytes
    alt: str
    caption: str = ""
    wide: bool = True


Part = Drawing | Picture | Evidence


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs of plain text, links to other pages (their texts and addresses), and what they speak of."""

    title: str
    text: Sequence[str] = ()
    parts: Sequence[Part] = ()
    links: Sequence[tuple[str, str]] = ()


def document(title: str, lead: str, sections: Sequence[Section], eyebrow: str = "") -> str:
    """The page as HTML; every text in it is escaped.

    Args:
        lead: the page in one or two sentences: what was found.
        eyebrow: the kind of page, in small letters over the title.

    Example:
        >>> from cnnaudit.core.evidence import bars
        >>> section = Section("Accuracy", ["By class."], [bars("accuracy", {"a": 0.9, "b": 0.8}, label="share")])
        >>> "<svg" in document("A model", "It works.", [section])
        True
    """
    from cnnaudit.report.html import templates

    shown = [
        {
            "title": section.title,
            "anchor": f"section-{k}",
            "text": section.text,
            "links": section.links,
            "parts": [_part(part, f"s{k}-{j}") for j, part in enumerate(section.parts)],
        }
        for k, section in enumerate(sections, start=1)
    ]
    template = templates().get_template("document.html.j2")
    return template.render(title=title, lead=lead, eyebrow=eyebrow, sections=shown, looks={})


def write_document(path: Path, title: str, lead: str, sections: Sequence[Section], eyebrow: str = "") -> Path:
    """Write `document` to a file, whole or not at all, and return its path.

    Raises:
        OutputError: the file cannot be written; the message says where the page is kept.
    """
    write({path: document(title, lead, sections, eyebrow)})
    return path


def _part(part: Part, prefix: str) -> dict[str, Any]:
    """One part as the template wants it."""
    from markupsafe import Markup

    from cnnaudit.report.figures import svg
    from cnnaudit.report.html import piece

    shown: dict[str, Any] = {
        "title": "",
        "svg": "",
        "images": (),
        "table": None,
        "png": "",
        "caption": "",
        "wide": False,
    }
    if isinstance(part, Mapping):
        return shown | piece(part, prefix, most=10_000)
    shown |= {"title": part.title, "caption": part.caption, "wide": part.wide}
    if isinstance(part, Drawing):
        return shown | {"svg": Markup(svg(part.paint, part.title, prefix))}
    return shown | {"png": base64.b64encode(part.png).decode("ascii"), "alt": part.alt}
