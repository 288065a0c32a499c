"""A model card: what an audit found, for those who are to use the model, with the front matter of Hugging Face."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnaudit.core.statistics import proportion_interval
from cnnaudit.report._markdown import escape, failure_text, findings_table
from cnnaudit.report.model import Report
from cnnaudit.report.predicted import Predicted, predicted
from cnnaudit.report.verdict import Entry, entries, failures, headline
from cnnaudit.report.words import number, printable, would_decide

LONGEST = 200  # characters of a text of the front matter
MOST_CLASSES = 1_000
WORST = 12
LIMITS = (
    "A passed check means that its defect was looked for and not found at the stated tolerance, on these images; other "
    "defects, other images and other uses were not examined."
)


def card(report: Report) -> str:
    """The model card of a report: front matter, the verdict, findings, limits and what is undecided, as Markdown.

    Everything that comes from the target or the report is escaped, in the front matter as YAML.

    Source: Mitchell et al., Model cards for model reporting, 2019.

    Example:
        >>> print(card(Report({"name": "demo", "classes": ["cat", "dog"]})).splitlines()[1])
        pipeline_tag: "image-classification"
    """
    seen, found = predicted(report), entries(report)
    parts = [_front_matter(report, seen), f"# {escape(report.name)}", *_model(report), "## Audit"]
    parts += [f"**{escape(headline(report))}**", *_unfinished(report)]
    if seen:
        parts += ["## Accuracy", escape(seen.sentence), _per_class(seen)]
    parts += _findings(report, found)
    parts += ["## Limits", LIMITS, "## How this was measured", _how(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def yaml_text(text: object) -> str:
    r"""Text as a double-quoted YAML scalar on one line, printable characters as they are and all others escaped.

    Example:
        >>> print(yaml_text('say "hi": #1'))
        "say \"hi\": #1"
    """
    shown = printable(text)
    shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
    return '"' + "".join(_character(c) for c in shown) + '"'


def _character(c: str) -> str:
    if c in ('"', "\\"):
        return "\\" + c
    # YAML has no character of its own beyond the planes' last two, and takes U+FEFF for a byte order mark
    plain = c.isprintable() and ord(c) & 0xFFFE != 0xFFFE
    return c if plain else f"\\U{ord(c):08x}"


def _yaml(value: Any, indent: str = "") -> list[str]:
    """Lines of YAML for mappings, lists, text and numbers."""
    if isinstance(value, Mapping):
        return [line for key, entry in value.items() for line in _entry(f"{indent}{key}:", entry, indent + "  ")]
    return [line for entry in value for line in _item(entry, indent)]


def _entry(head: str, value: Any, indent: str) -> list[str]:
    return [head, *_yaml(value, indent)] if isinstance(value, (Mapping, list)) else [f"{head} {_scalar(value)}"]


def _item(value: Any, indent: str) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{indent}- {_scalar(value)}"]
    first, *rest = _yaml(value, indent + "  ")
    return [f"{indent}- {first.lstrip()}", *rest]


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, (int, float)) else yaml_text(value)


def _front_matter(report: Report, seen: Predicted | None) -> str:
    """What Hugging Face reads: the task, tags, and the measured accuracy where there is one."""
    matter: dict[str, Any] = {
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "cnnaudit"],
    }
    if seen:
        right, n = seen.right, len(seen.section["labels"])
        metric = {"type": "accuracy", "name": "Accuracy", "value": round(right / n, 4), "verified": False}
        result = {
            "task": {"type": "image-classification", "name": "Image Classification"},
            "dataset": {"type": "private", "name": f"{seen.section['split']} images", "split": seen.section["split"]},
            "metrics": [metric],
        }
        matter["model-index"] = [{"name": report.name, "results": [result]}]
    return "\n".join(["---", *_yaml(matter), "---"])


def _model(report: Report) -> Iterator[str]:
    """What the model is for, as far as its file says so."""
    target = report.target
    classes = list(target.get("classes", ()))
    shown = ", ".join(escape(name) for name in classes[:MOST_CLASSES])
    lines = [f"- Classes ({len(classes)}): {shown}{', ...' if len(classes) > MOST_CLASSES else ''}"] if classes else []
    if target.get("previous"):
        lines.append(f"- Replaces: {escape(target['previous'])}")
    size = target.get("input", {}).get("size")
    if size:
        lines.append(
            f"- Input: {escape(' x '.join(map(str, size)))} pixels, {escape(target['input'].get('channels'))} channels"
        )
    for name, split in target.get("splits", {}).items():
        lines.append(f"- {escape(name).capitalize()} images: {split['images']:,}")
    for name, value in target.get("claims", {}).items():
        lines.append(f"- Claims {escape(name)}: {escape(value)}")
    if lines:
        yield "## Model"
        yield "\n".join(lines)


def _unfinished(report: Report) -> Iterator[str]:
    """Why the audit says less than it should: checks that crashed or were never answered."""
    if not report.complete:
        missing = ", ".join((report.completeness or {}).get("missing", ()))
        yield f"The audit did not finish; without an answer: {escape(missing or 'unknown checks')}."
    if report.errors:
        yield f"Checks that crashed: {escape(', '.join(error['check'] for error in report.errors))}."


def _per_class(seen: Predicted) -> str:
    """The worst classes as a table."""
    worst = seen.per_class[:WORST]
    rows = []
    for name, right, n in worst:
        low, high = (number(bound, "share") for bound in proportion_interval(right, n, 0.95))
        rows.append(f"| {escape(name)} | {right:,} of {n:,} | {escape(number(right / n, 'share'))} ({low} to {high}) |")
    title = "class" if len(worst) == len(seen.per_class) else f"the {len(worst)} worst classes"
    return "\n".join([f"| {title} | right | accuracy (95 % interval) |", "|---|---|---|", *rows])


def _findings(report: Report, found: Sequence[Entry]) -> Iterator[str]:
    """What fails, what is known, what is described, what is undecided, and what was looked for and not found."""
    if failed := failures(report):
        yield "## What fails"
        yield from (failure_text(failure) for failure in failed)
    sections = (
        ("expected", "Known failures, accepted by the owner"),
        ("trait", "What else was found"),
        ("passed", "Looked for and not found"),
    )
    for kind, title in sections:
        if those := [entry for entry in found if entry.kind == kind]:
            yield f"## {title}"
            yield findings_table(those)
    if undecided := [entry.finding for entry in found if entry.kind == "inconclusive"]:
        yield "## Undecided"
        yield "\n".join(
            f"- {escape(one.check)}: {escape(one.summary)} {escape(would_decide(one))}" for one in undecided
        )
    if skipped := [entry.finding for entry in found if entry.kind == "skipped"]:
        yield "## Not asked"
        yield "\n".join(f"- {escape(one.check)}: {escape(one.summary)}" for one in skipped)


def _how(report: Report) -> str:
    """The tool, its settings and the day."""
    facts = report.environment
    told = [
        f"{key} {facts[key]}"
        for key in ("cnnaudit", "torch", "device", "profile", "seed", "time")
        if facts.get(key) is not None
    ]
    return f"`cnnaudit audit`: {escape(', '.join(told))}." if told else "`cnnaudit audit`."
