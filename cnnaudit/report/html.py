"""Reports as web pages: one self-contained file each, no script, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from cnnaudit.checks.nulls import null_distribution
from cnnaudit.core.findings import Finding
from cnnaudit.report.model import Report
from cnnaudit.report.paths import folder_name
from cnnaudit.report.predicted import missing, predicted
from cnnaudit.report.scale import against_tolerance, populations
from cnnaudit.report.tables import TABLES, file_name
from cnnaudit.report.verdict import (
    Entry,
    Failure,
    Line,
    entries,
    failures,
    headline,
    hinted,
    lines,
    status,
)
from cnnaudit.report.words import (
    LOOKS,
    basis,
    between,
    explanation,
    is_share,
    judgement,
    noun,
    number,
    plural,
    printable,
    question,
    tolerance,
    would_decide,
)

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_ROWS = 40
MOST_LOCATIONS = 10


def page(report: Report) -> str:
    """The report as one HTML page: verdict, failures, what the model was given, failed checks, then all others."""
    cards = [_card(entry) for entry in entries(report)]
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            looks=LOOKS,
            name=report.name,
            status=status(report),
            headline=headline(report),
            failures=[_failure(failure) for failure in failures(report)],
            hints=[_attention(entry) for entry in hinted(report)],
            lines=[_line(line) for line in lines(report)],
            seen=predicted(report),
            missing=missing(report),
            crashed=[{**error, "anchor": anchor("crashed", error["check"])} for error in report.errors],
            failed=[card for card in cards if card["kind"] == "failed"],
            families=_families(cards),
            target=_target_facts(report.target),
            environment=_facts(report.environment.items()),
        )
    )


def _failure(failure: Failure) -> dict[str, Any]:
    """What the first card says of a failure."""
    links = [{"check": check, "anchor": anchor(failure.kind, check)} for check in failure.checks]
    texts = {name: getattr(failure, name) for name in ("kind", "problem", "number", "hint", "action")}
    return {"links": links, **texts}


def _attention(entry: Entry) -> dict[str, str]:
    """What the first card says of a finding that failed nothing and has a hint."""
    finding = entry.finding
    texts = {"hint": finding.hint, "problem": finding.summary}
    return {"kind": entry.kind, "check": finding.check, "anchor": folder_name(finding.check), **texts}


def _line(line: Line) -> dict[str, Any]:
    """Findings that fail nothing, with links to them."""
    checks = [entry.finding.check for entry in line.entries]
    links = [{"check": check, "anchor": folder_name(check)} for check in checks]
    return {"kind": line.kind, "text": line.text, "links": links}


@cache
def templates() -> Environment:
    """The templates of this folder; every value is made printable and escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cnnaudit.report", "templates"),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _printable(value: Any) -> Any:
    """Text on one line, other values and finished HTML as they are."""
    return printable(value) if type(value) is str else value


def _breakable(id: str) -> str:
    """An id that a narrow column breaks after its dots, underscores and brackets, not within a word."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([._\[\]/]+)(?=.)", r"\1<wbr>", str(escape(printable(id)))))


def _families(cards: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The cards by family, worst first within each, with the family's counts."""
    names = sorted({card["family"] for card in cards})
    families = []
    for name in names:
        items = [card for card in cards if card["family"] == name]
        kinds = [kind for kind in LOOKS if any(card["kind"] == kind for card in items)]
        tally = [f"{sum(card['kind'] == kind for card in items)} {LOOKS[kind].word}" for kind in kinds]
        families.append(
            {
                "name": name,
                "anchor": f"family-{folder_name(name)}",
                "items": items,
                "failed": [card for card in items if card["kind"] == "failed"],
                "others": [card for card in items if card["kind"] != "failed"],
                "tally": ", ".join(tally),
            }
        )
    return families


def _card(entry: Entry) -> dict[str, Any]:
    """Everything the page says about one finding."""
    finding = entry.finding
    judged = finding.statistic is not None
    evidence = [
        piece(item, f"{folder_name(finding.check)}-{k}", file=_table_file(finding, item))
        for k, item in enumerate(finding.evidence)
    ]
    return {
        "kind": entry.kind,
        "family": finding.family,
        "anchor": folder_name(finding.check),
        "check": finding.check,
        "question": question(finding.check),
        "hint": finding.hint,
        "summary": finding.summary,
        "note": entry.note,
        "measured": number(finding.statistic, finding.unit) if finding.statistic is not None else "",
        "noun": noun(finding.unit),
        "between": f"({between(finding)})" if between(finding) else "",
        "statistic_name": finding.statistic_name or finding.unit,
        "explanation": explanation(finding.unit),
        "tolerance": tolerance(finding),
        "judgement": judgement(finding),
        "line": against_tolerance(finding),
        "expected": finding.expected if finding.expected is not None else "",
        "undecided": would_decide(finding) if finding.verdict == "inconclusive" else "",
        "remedy": finding.remedy if finding.verdict == "fail" else "",
        "contents": _contents(finding),
        "evidence": evidence,
        "locations": _locations(finding),
        "populations": populations(null_distribution(finding.check), finding) if judged else None,
        "facts": _finding_facts(finding),
    }


def _contents(finding: Finding) -> str:
    """What the folded part of a card holds, so that one knows before opening it."""
    kinds = [str(item.get("kind")) for item in finding.evidence]
    tables = kinds.count("table") + bool(finding.locations)
    parts = [(len(kinds) - kinds.count("table"), "figure"), (tables, "table")]
    text = ", ".join(plural(n, noun) for n, noun in parts if n)
    return f": {text}" if text else ""


def _table_file(finding: Finding, item: Mapping[str, Any]) -> str:
    """The link to a table's CSV file; empty where it has none."""
    return f"{TABLES}/{file_name(finding.check, item['file'])}" if item.get("file") else ""


def piece(item: Mapping[str, Any], prefix: str, most: int = MOST_ROWS, file: str = "") -> dict[str, Any]:
    """One piece of evidence as the template wants it: a table, images or a drawing; `file` links the whole table."""
    from markupsafe import Markup

    from cnnaudit.report.figures import draw

    shown: dict[str, Any] = {"title": item.get("title", ""), "svg": "", "images": (), "table": None}
    if item.get("kind") == "table":
        shown["table"] = _table(item["columns"], item["rows"], most, file)
    elif item.get("kind") == "images":
        shown["images"] = [{"png": image["png"], "caption": image["caption"]} for image in item["images"]]
    else:
        shown["svg"] = Markup(draw(item, prefix))  # text in it is escaped by Matplotlib
    return shown


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], most: int, file: str = "") -> dict[str, Any]:
    """A table with its numbers formatted and its numeric columns marked, cut after `most` rows."""

    def numeric(k: int) -> bool:
        return all(isinstance(row[k], (int, float)) for row in rows)

    return {
        "columns": [{"name": name, "numeric": numeric(k)} for k, name in enumerate(columns)],
        "rows": [[_cell(value) for value in row] for row in rows[:most]],
        "more": max(len(rows) - most, 0),
        "file": file,
        "total": len(rows),
    }


def _cell(value: Any) -> str:
    """A value of a table or a fact as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return str(value)


def _locations(finding: Finding) -> dict[str, Any] | None:
    """Where the finding stands, worst first, only the columns that say something."""
    if not finding.locations:
        return None
    worst = -1 if finding.direction == "at_most" else 1
    places = [place.to_json() for place in sorted(finding.locations, key=lambda place: worst * place.statistic)]
    names = [name for name in ("layer", "unit", "class", "image", "pixel") if any(name in place for place in places)]
    rows = [
        [", ".join(map(str, place[name])) if name == "pixel" and name in place else place.get(name) for name in names]
        + [number(place["statistic"], finding.unit) if is_share(finding.unit) else place["statistic"]]
        for place in places
    ]
    table = _table([*names, "value"], rows, MOST_LOCATIONS)
    table["columns"][-1]["numeric"] = True
    return table


def _finding_facts(finding: Finding) -> list[tuple[str, str]]:
    """How the number came about."""
    nearest = finding.detectable_effect
    pairs = [
        ("statistic", finding.statistic_name),
        ("unit", finding.unit),
        ("kind", "gate: a failure fails the run" if finding.gate else "trait: it describes, and fails nothing"),
        ("rests on", basis(finding)),
        ("could be told from the tolerance", number(nearest, finding.unit) if nearest is not None else ""),
        ("profile, seed", f"{finding.profile}, {finding.seed}" if finding.profile else ""),
        ("time", f"{max(finding.seconds, 0.1):.1f} s" if finding.seconds else ""),
        ("reference", finding.reference),
    ]
    return _facts(pairs)


def _target_facts(target: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was audited."""
    size = target.get("input", {}).get("size", ())
    channels = target.get("input", {}).get("channels")
    classes = target.get("classes", ())
    shown = ", ".join(map(str, classes[:8])) + (", …" if len(classes) > 8 else "")
    return _facts(
        [
            ("audit file", target.get("source")),
            ("classes", f"{len(classes)}: {shown}" if classes else None),
            ("input", f"{' x '.join(map(str, size))} pixels, {channels} channel(s)" if size else None),
            *((f"{name} images", f"{split['images']:,}") for name, split in target.get("splits", {}).items()),
            ("claims", ", ".join(f"{k.replace('_', ' ')} {_cell(v)}" for k, v in target.get("claims", {}).items())),
        ]
    )


def _facts(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    """The pairs that say something, as text."""
    return [(name, _cell(value)) for name, value in pairs if value is not None and value != ""]


def anchor(kind: str, check: str) -> str:
    """Where a check stands on its target's page."""
    return f"crash-{folder_name(check)}" if kind == "crashed" else folder_name(check)
