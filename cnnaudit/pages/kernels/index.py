"""The overview of the report on kernels: which findings of the literature hold here, and the tables of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from cnnaudit.core.evidence import table
from cnnaudit.pages.document import Section, document
from cnnaudit.pages.kernels.layer_page import ALPHA, Facts, page_names, share_cells
from cnnaudit.references import published
from cnnaudit.report.words import listed, number, plural
from cnnaudit.units import LayerShare
from cnnaudit.units.kinds import Counted, pooled

COLOR = ("gray-kernels", "hue", "hue-of-optima")  # the readings of color blindness
LOOP = 6  # edges of a loop that is more than two triangles


def index_page(target: str, layers: Sequence[Facts], counted: Sequence[Counted], left_out: str, images: int) -> str:
    """The page as HTML.

    Args:
        left_out: which convolutions are not in the report, and why; empty: none.
        images: how many images the kinds were counted on.
    """
    units = sum(one.units for one in layers)
    kernels = sum(one.units * one.inputs for one in layers)
    lead = (
        f"{plural(kernels, 'kernel')} of {plural(units, 'unit')} in {plural(len(layers), 'layer')}. Below: which "
        "findings of the literature hold for them, what kinds of units there are, and the shape of kernel space. These "
        "are descriptions, each beside what chance gives: nothing here passes or fails."
    )
    sections = [
        _findings(layers, counted),
        _layers(layers, left_out),
        _overview(layers, counted, images),
        *(_kind(one) for one in counted if one.rows),
        _shape(layers),
    ]
    return document(f"Kernels of {target}", lead, sections, "Report on kernels")


def _findings(layers: Sequence[Facts], counted: Sequence[Counted]) -> Section:
    rows = [_of_kind(one) for one in counted] + [_of_groups(layers), _of_ring(layers), _of_loops(layers)]
    text = (
        "A kind of unit is there beyond chance where its share over all layers is above the null's, counted on as many "
        "units (Fisher's exact test, p at most .05). A share below the null is a finding as well: training has removed "
        "such units."
    )
    return Section(
        "What the literature found, and what is here",
        [text, *_summary(rows)],
        [table("Findings", ["finding", "in the literature", "here", "chance gives", "beyond chance"], rows)],
    )


def _summary(rows: Sequence[Sequence[str]]) -> list[str]:
    """Which findings are beyond chance and which are not, in a sentence each."""
    heads = {"yes": "Beyond chance here", "no": "Not beyond chance", "no, fewer": "Fewer than chance gives"}
    sentences = []
    for answer, head in heads.items():
        titles = [f"{row[0]} ({row[2]})" for row in rows if row[4] == answer]
        if titles:
            sentences.append(f"{head}: {'; '.join(titles)}.")
    return sentences


def _of_kind(one: Counted) -> list[str]:
    title = f"units that are {one.kind.title}"
    if not one.rows:
        return [title, one.kind.literature, f"not asked: {one.reason}", "", ""]
    row = pooled(one.rows)
    share, interval, null = share_cells(row)
    here = f"{len(row.found):,} of {row.units:,}, {share} [{interval}]"
    return [title, one.kind.literature, here, null, _compared(len(row.found), row.units, row.null)]


def _compared(found: int, total: int, null: float | None) -> str:
    """Whether that many are more than the null has among as many; empty without a null."""
    from scipy.stats import fisher_exact

    if null is None:
        return ""
    chance = round(null * total)
    p = float(fisher_exact([[found, total - found], [chance, total - chance]])[1])
    return "no" if p > ALPHA else "yes" if found > chance else "no, fewer"


def _of_groups(layers: Sequence[Facts]) -> list[str]:
    known = [one for one in layers if one.supported is not None]
    title = "units fall into groups"
    fewest, most = published("clusters").values
    literature = f"{fewest:.0f} to {most:.0f} groups a layer, by dendrogram and spectral clustering (Garriga 2019)"
    if not known:
        return [title, literature, "not asked", "", ""]
    more = sum((one.supported or 1) > 1 for one in known)
    return [title, literature, f"two clusters or more in {more} of {plural(len(known), 'layer')}", "1% of layers",
            _some(more, len(known), 0.01)]  # fmt: skip


def _of_ring(layers: Sequence[Facts]) -> list[str]:
    known = [one for one in layers if one.ring_p is not None]
    title = "the dense kernels lie on a ring"
    literature = "a ring in every layer, without a null (Garriga 2019)"
    if not known:
        return [title, literature, "not asked", "", ""]
    beyond = sum(is_ring(one) for one in known)
    here = f"a loop longer than any null gives in {beyond} of {plural(len(known), 'layer')}"
    return [title, literature, here, "5% of layers", _some(beyond, len(known), ALPHA)]


def _of_loops(layers: Sequence[Facts]) -> list[str]:
    known = [one for one in layers if one.stable_loop is not None]
    title = "the Mapper graph is a ring"
    literature = "a circle in the graphs of all layers (Garriga 2019)"
    if not known:
        return [title, literature, "not asked", "", ""]
    round_ = sum((one.stable_loop or 0) >= LOOP for one in known)
    chance = sum((one.null_loop or 0) >= LOOP for one in known)
    here = f"a loop of {LOOP} edges or more in half of all covers in {round_} of {plural(len(known), 'layer')}"
    return [
        title,
        literature,
        here,
        f"{chance} of {len(known)} (the nulls)",
        _compared(round_, len(known), chance / len(known)),
    ]


def is_ring(one: Facts) -> bool:
    """Whether the longest loop is beyond every null."""
    return one.ring_p is not None and one.ring_p <= ALPHA and (one.ring or 0) > (one.ring_null or 0)


def _some(found: int, total: int, chance: float) -> str:
    """Whether that many of the layers are more than are found by a chance that is known."""
    from cnnaudit.core.statistics import proportion_interval

    return "yes" if proportion_interval(found, total, 1 - ALPHA)[0] > chance else "no"


def _layers(layers: Sequence[Facts], left_out: str) -> Section:
    links = [(f"{one.layer} ({one.size[0]} x {one.size[1]})", page_names(one.layer)[0]) for one in layers]
    text = ["A page for each layer: its kernels, the kinds of its units, their groups, the ring, the Mapper graph."]
    return Section("The layers", text + ([left_out] if left_out else []), links=links)


def _overview(layers: Sequence[Facts], counted: Sequence[Counted], images: int) -> Section:
    shown = [one for one in counted if one.rows]
    rows = []
    for facts in layers:
        cells = [one.of(facts.layer) for one in shown]
        counts = ["" if row is None else f"{len(row.found)} ({number(row.share, 'share')})" for row in cells]
        rows.append([facts.layer, facts.units, *counts])
    text = [
        f"How many units of each layer are of each kind, on {plural(images, 'image')} where images are needed. An "
        "empty cell: this kind cannot be measured in that layer. Below, each kind with its intervals and nulls."
    ]
    text += [*agreement(counted), *not_asked(counted)]
    columns = ["layer", "units", *(one.kind.title for one in shown)]
    return Section("Kinds of units", text, [table("Units of each kind", columns, rows)] if shown else ())


def agreement(counted: Sequence[Counted]) -> list[str]:
    """How far the readings of color blindness agree, in a sentence for each pair, with Cohen's kappa."""
    readings = [one for one in counted if one.kind.name in COLOR and one.rows]
    sentences = []
    for one, other in combinations(readings, 2):
        pairs = [(row, same) for row in one.rows if (same := other.of(row.layer)) is not None]
        units = sum(row.units for row, _ in pairs)
        if not units:
            continue
        first, second = (sum(len(pair[k].found) for pair in pairs) for k in (0, 1))
        both = sum(len({*row.found} & {*same.found}) for row, same in pairs)
        chance = (first * second + (units - first) * (units - second)) / units**2
        same_answer = (units - first - second + 2 * both) / units
        kappa = "" if chance == 1 else f" Cohen's kappa {number((same_answer - chance) / (1 - chance))}."
        sentences.append(
            f"In the {plural(len(pairs), 'layer')} measured both ways, {units:,} units: {one.kind.title} {first:,}, "
            f"{other.kind.title} {second:,}, both {both:,}.{kappa}"
        )
    return sentences


def not_asked(counted: Sequence[Counted]) -> list[str]:
    """The kinds without a row, those of the same reason together."""
    reasons: dict[str, list[str]] = {}
    for one in counted:
        if not one.rows:
            reasons.setdefault(one.reason, []).append(one.kind.title)
    return [f"Not measured: {listed(titles)}, because {reason}." for reason, titles in reasons.items()]


def _kind(one: Counted) -> Section:
    title = f"Units that are {one.kind.title}"
    rows = [[row.layer, row.units, len(row.found), *share_cells(row)] for row in (*one.rows, *_total(one))]
    columns = ["layer", "units", "found", "share", "95% interval", "null"]
    return Section(title, [one.kind.text], [table("By layer", columns, rows)])


def _total(one: Counted) -> list[LayerShare]:
    return [pooled(one.rows)] if len(one.rows) > 1 else []


def _shape(layers: Sequence[Facts]) -> Section:
    rows = [
        [
            one.layer, one.units * one.inputs, one.kept, one.ring, one.ring_null, one.ring_p, one.stable_loop,
            one.null_loop, one.nodes, one.edges, one.supported,
        ]
        for one in layers
    ]  # fmt: skip
    text = (
        "Lifetimes of the longest loop of the dense kernels, 1 for a perfect circle, beside that of the null that "
        "comes nearest (initialization noise, a Gaussian of the same covariance, or Student's t with their scatter); "
        "p is the largest of the three. A stable loop is the longest, in edges, that half of the Mapper graphs over a "
        "range of covers hold."
    )
    columns = [
        "layer", "kernels", "dense", "lifetime", "null", "p", "stable loop", "of the null", "nodes", "edges",
        "clusters of units",
    ]  # fmt: skip
    return Section("The shape of kernel space", [text], [table("By layer", columns, rows)])
