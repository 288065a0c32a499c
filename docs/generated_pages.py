"""Writes what no hand should: a page per check, from its docstring, judgement, null and plants, and the commands."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cnnaudit import _PACKAGES
from cnnaudit.checks import Check, catalogue
from cnnaudit.cli import _parser
from cnnaudit.report.catalogue import catalogue_json

PARTS = tuple(
    f"cnnaudit.{name}" for name in sorted({*_PACKAGES, "checks", "core.findings", "report", "target"} - {"planted"})
)
HERE = Path(__file__).parent
ESCAPED = re.compile(r"([\\*_<>\[\]|#$~])")


def write(folder: Path) -> list[Path]:
    """Write `commands.md`, `checks/index.md` and `checks/ID.md`; a page that has not changed is left as it is."""
    checks = list(catalogue().values())
    texts = {"commands": commands(), "parts": parts(), "checks/index": index(checks)}
    texts |= {f"checks/{check.id}": page(check) for check in checks}
    texts |= {f"api/{name}": f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n" for name in PARTS}
    for name in ("checks", "api"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.md" for name in texts]
    for path, text in zip(paths, texts.values()):
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for old in set(folder.rglob("*.md")) - set(paths):
        old.unlink()
    return paths


def parts() -> str:
    """The packages, each with the first line of its docstring."""
    lines = ["| | |", "|---|---|"]
    for name in PARTS:
        told = (importlib.import_module(name).__doc__ or "").partition("\n")[0]
        lines.append(f"| [`{name}`](generated/api/{name}.md) | {prose(told)} |")
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *(f"generated/api/{name}" for name in PARTS), "```"])


def commands() -> str:
    """The help of every command."""
    parser = _parser()
    lines = ["## All commands", ""]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                lines += [f"### {name}", "", "```text", command.format_help().rstrip(), "```", ""]
    return "\n".join(lines)


def index(checks: Sequence[Check]) -> str:
    """All checks by family, each with its question."""
    lines = ["# What is asked", "", "A *gate* fails the run; a *trait* is measured, judged and reported.", ""]
    for family in dict.fromkeys(check.family for check in checks):
        own = [check for check in checks if check.family == family]
        lines += [f"## {family}", "", "| check | question |", "|---|---|"]
        lines += [f"| [`{check.id}`]({check.id}.md) | {prose(check.question)} |" for check in own]
        lines += ["", "```{toctree}", ":hidden:", "", *(check.id for check in own), "```", ""]
    return "\n".join(lines)


def page(check: Check) -> str:
    """Everything there is to say about one check."""
    facts = catalogue_json([check])[0]
    definition = inspect.cleandoc(facts["definition"])
    lines = [f"# {check.id}", "", f"**{prose(check.question)}**", "", *_judgement(facts), ""]
    lines += ["## Definition", "", *_paragraphs(definition), ""]
    lines += ["## What is known of its errors", "", *_errors(check, facts)]
    lines += ["## What it was tried on", "", *_tried(check)]
    lines += ["## In the audit file", "", "```toml", f'[checks."{check.id}"]']
    lines += [f"tolerance = {check.tolerance_at('quick'):g}", "```", ""]
    return "\n".join(lines)


def prose(text: str) -> str:
    """Text as Markdown that shows it as it is; code in backticks stays code.

    Example:
        >>> prose("a_b of `c_d`")
        'a\\\\_b of `c_d`'
    """
    parts = " ".join(text.split()).split("`")
    parts[::2] = [ESCAPED.sub(r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _judgement(facts: dict[str, Any]) -> Iterator[str]:
    bound = facts["direction"].replace("_", " ")
    tolerances = facts["tolerance"]
    told = (
        f"{tolerances['quick']:g}"
        if len(set(tolerances.values())) == 1
        else ", ".join(f"{value:g} ({profile})" for profile, value in tolerances.items())
    )
    rows = [
        ("statistic", prose(facts["statistic"])),
        ("tolerated", f"{bound} {told} {prose(facts['unit'])}".rstrip()),
        ("kind", facts["kind"] + ("; exact, without sampling error" if facts["exact"] else "")),
        ("needs", ", ".join(facts["needs"]) or "nothing but the model"),
        ("what to do", prose(facts["remedy"])),
        ("reference", prose(facts["reference"])),
    ]
    yield from ["| | |", "|---|---|"]
    yield from (f"| {name} | {value} |" for name, value in rows if value)


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a docstring; its sections (`Source:`) with their names in bold."""
    for paragraph in re.split(r"\n\s*\n", text):
        name, colon, rest = paragraph.partition(":")
        section = colon and name in ("Args", "Returns", "Raises", "Source", "Example", "Measured")
        yield f"**{name}:** {prose(rest)}" if section else prose(paragraph)
        yield ""


def _errors(check: Check, facts: dict[str, Any]) -> Iterator[str]:
    """Per part false alarms and power, the tolerance beside what clean targets show, and the stored populations."""
    yield from ["| | fails clean targets | finds planted defects | tolerance |", "|---|---|---|---|"]
    for id, rates in facts["measured"].items():
        cells = [_rate(rates.get(key)) for key in ("false_alarms", "power")]
        yield f"| `{id.removeprefix(check.id) or 'all'}` | {cells[0]} | {cells[1]} | {prose(rates.get('rule', ''))} |"
    yield ""
    for id in facts["measured"]:
        yield from _figure(check, id)


def _rate(rate: dict[str, Any] | None) -> str:
    if not rate:
        return "not calibrated"
    low, high = (f"{100 * bound:.3g}" for bound in rate["interval"])
    return f"{rate['count']} of {rate['n']} ({low} to {high} %)"


def _figure(check: Check, id: str) -> Iterator[str]:
    """The statistic on clean and on defective targets, as stored, beside the tolerance."""
    from cnnaudit.checks.nulls import null_distribution
    from cnnaudit.core.evidence import boxes
    from cnnaudit.report.figures import draw

    rows = [row for row in (null_distribution(id) or {}).get("populations", ()) if row["statistics"]]
    rows.sort(key=lambda row: str(row["kind"]))
    if not rows:
        return
    values = {f"{row['kind']} {k}": row["statistics"] for k, row in enumerate(rows, 1)}
    values["tolerated"] = [check.tolerance_at("quick")]
    drawn = draw(boxes(id, values, label=check.unit or check.statistic), f"null-{id}")
    yield from ["```{raw} html", f"<figure>{drawn}", f"<figcaption>{id}: smallest, quartiles and largest of"]
    yield from [" each stored population</figcaption></figure>", "```", ""]
    yield from (f"{k}. {prose(row['name'])}: {len(row['statistics'])} targets" for k, row in enumerate(rows, 1))
    yield ""


def _tried(check: Check) -> Iterator[str]:
    yield "Planted defects that it must find, each beside a twin that differs in nothing else:"
    yield ""
    yield from (f"- {prose(plant.name)}{_part(plant.parts)}" for plant in check.plants)
    for picture in sorted((HERE / "pictures" / "plants").glob(f"{check.id}-*.png")):
        plant = prose(check.plants[int(picture.stem.rpartition("-")[2])].name)
        yield from ["", f"```{{figure}} ../../pictures/plants/{picture.name}", f":alt: {plant}", ":width: 520px", ""]
        yield from [f"Above: {plant}. Below: the same images of the twin.", "```"]
    yield ""


def _part(parts: Sequence[str]) -> str:
    return f" (`[{', '.join(parts)}]`)" if parts else ""
