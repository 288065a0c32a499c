"""Does a column of metadata predict the label?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget
from cnnaudit.checks import Plant, Population
from cnnaudit.checks.dataset._plants import _DIGITS, _digits, _some_classes, _target

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget


@check(
    question="Does a column of metadata predict the label?",
    statistic="balanced accuracy of the label from the column alone, above chance",
    unit="0: chance, 1: perfect",
    direction="at_most",
    tolerance=0.2,
    gate=True,
    remedy="Balance the classes over the values of this column (or weight the images so), and test on values that the "
    "model has not seen. Otherwise nobody can tell whether the model learned the class or the scanner.",
    reference="Zech et al. (2018), Variable generalization performance of a deep learning model to detect pneumonia",
    needs=("metadata",),
)
def metadata_shortcut(context: CheckContext) -> list[Finding]:
    """How well each column of the metadata alone predicts the label; one finding per column.

    (b - 1/K) / (1 - 1/K), b the balanced accuracy on all validation rows of the rule that
    `cnnaudit.checks.dataset._columns.predict_label` learns from the training rows; with metadata for one split only, each half
    of it is predicted from the other. The interval is a Bayesian bootstrap over the images, its error divided by the
    number of columns. Constant columns and identifiers (whole numbers or text with another value for more than half of
    the images) are not applicable: nobody could learn them.

    Tolerance: 99 % point of independent columns, .06, and .14 that the interval of 500 images in two classes needs
    around it: .2.
    """
    target = context.target
    from cnnaudit.checks.dataset._columns import comparable, unusable

    described = [name for name, split in target.splits.items() if split.metadata]
    asked = target.split("validation" if "validation" in described else described[0])
    known = target.split("train") if "train" in described else asked
    if min(len(np.unique(split.labels)) for split in (known, asked)) < 2:
        raise UnsupportedError("predicting the label needs images of two classes with metadata")
    columns = {
        name: comparable(known.metadata[name], asked.metadata[name])
        for name in asked.metadata
        if name in known.metadata
    }
    reasons = {name: unusable(values) for name, (values, _) in columns.items()}
    each = context.among(sum(not reason for reason in reasons.values()))
    learned = None if known is asked else np.asarray(known.labels)
    return [
        context.not_applicable(f"Column '{name}' {reasons[name]}.", part=name)
        if reasons[name]
        else _of_column(target, each, name, None if learned is None else (values, learned), (questions, asked.labels))
        for name, (values, questions) in columns.items()
    ]


def _of_column(
    target: AuditTarget,
    context: CheckContext,
    name: str,
    known: tuple[np.ndarray, np.ndarray] | None,
    asked: tuple[np.ndarray, np.ndarray],
) -> Finding:
    """The finding of one column; `known` and `asked` hold its values and the labels."""
    from cnnaudit.checks.dataset import _pictures as pictures
    from cnnaudit.checks.dataset._columns import ask_column
    from cnnaudit.core.statistics import balanced as scores

    labels, rng = np.asarray(asked[1]), context.generator(name)
    predicted = ask_column(known, asked, len(target.classes), rng)
    score, chance = scores.balanced_score(predicted, labels), 1 / len(np.unique(labels))
    return context.judge(
        score,
        scores.balanced_interval(predicted, labels, context.confidence, rng),
        n=len(labels),
        part=name,
        summary=f"From '{name}' alone the label is predicted with a balanced accuracy of "
        f"{chance + score * (1 - chance):.1%} (chance {chance:.1%}).",
        evidence=pictures.of_column(name, asked[0], labels, target.classes),
    )


def described(seed: int, tied: bool, every_class: bool = True) -> AuditTarget:
    """Digits (or some of them) with metadata: a site and an exposure that go with the class, or with nothing."""
    splits, rng = _digits(seed), generator("planted", seed, "metadata")
    splits, k = (splits, 10) if every_class else _some_classes(splits, seed)
    metadata = {}
    for split, (_, labels) in splits.items():
        cause = labels if tied else rng.permutation(labels)
        strays = rng.random(len(labels)) < 0.1
        site = np.where(strays, rng.integers(0, 5, len(labels)), cause % 5)
        metadata[split] = {
            "site": np.array(["north", "east", "south", "west", "center"])[site],
            "exposure": cause + rng.normal(0, 0.5, len(labels)),
        }
    return _target("described digits", splits, _DIGITS[:k], metadata=metadata)


PLANTS = [
    *(
        Plant(
            f"{column} goes with the class", partial(described, tied=True), partial(described, tied=False), part=column
        )
        for column in ("site", "exposure")
    ),
]


POPULATIONS = [
    Population("columns that go with nothing, random classes", partial(described, tied=False, every_class=False), 40),
]
