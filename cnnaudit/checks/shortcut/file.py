"""Do the facts of the image files give a class away?

A class from another camera, in another format or size differs before a single pixel is read, and often in its pixels
too. The audit asks how well the facts alone tell each class from the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.shortcut._global import claimed, read_in_halves, there_only
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    from cnnaudit.cues import Availability
    from cnnaudit.target import AuditTarget

#: Not asked: the size in bytes says how much is in the picture (sky compresses better than leaves).
_HONEST = ("file_size",)
_SIDES = ("top", "bottom", "left", "right")
_SHOWN = 12


@check(
    question="Do the facts of the image files give a class away?",
    statistic="one-against-rest AUC of the files' facts, in the class that they tell best",
    unit=".5: chance, 1: perfect",
    direction="at_most",
    tolerance=0.75,
    gate=partial(claimed, "file"),
    remedy="Take the images of all classes from the same cameras, and save them in one format, size and quality. "
    "Where that cannot be had, see in shortcut.noise, shortcut.compression and shortcut.spectrum whether the model "
    "follows them.",
    reference="Zech et al. (2018), Variable generalization performance of a deep learning model to detect pneumonia",
    needs=("train", "validation"),
)
def file(context: CheckContext) -> Finding:
    """One-against-rest AUC of format, mode, width, height, aspect, camera, JPEG quantization and letterbox.

    A tree of 6 leaves per class, fitted to one split and asked of the other, the lesser of both directions; the
    interval is a Bayesian bootstrap over images. File names and the size in bytes are not asked: the one often spells
    the class, the other tells how much is in the picture. A plain border (letterbox) counts where most images have
    none: else it is the ground that objects lie on. Only 'there' can be measured: a fact cannot be put into an image.

    Tolerance: of 40 clean targets the largest AUC is .58, its interval ends at .69 at most; planted facts start at .76.
    """
    from cnnaudit.cues import FileFacts

    columns = {split: dict(read_in_halves(context, split, _facts)) for split in ("train", "validation")}
    if not all(columns.values()):
        raise UnsupportedError("the images come from no files, so that there are no facts of files to ask")
    for side in _SIDES:
        if np.median(columns["train"][f"border {side}"]) > 0:  # the ground that objects lie on
            for found in columns.values():
                del found[f"border {side}"]
    known = FileFacts.of(columns["train"])
    features = {split: known.read(found) for split, found in columns.items()}
    there, labels = there_only(context, features)
    worst = int(np.argmax(there.auc))
    name = context.target.classes[int(there.classes[worst])]
    fact = known.columns[_first_fact(features["train"], labels["train"] == there.classes[worst])]
    return context.judge(
        float(there.auc[worst]),
        (float(there.low.max()), float(there.high.max())),
        n=sum(map(len, labels.values())),
        summary=f"The files' facts tell '{name}' from the rest with an AUC of {there.auc[worst]:.2f}, most of all "
        f"'{fact}'.",
        hint=f"'{fact}' differs between '{name}' and the other classes." if there.low.max() > context.tolerance else "",
        locations=[Location(float(auc), class_name=context.target.classes[k]) for k, auc in _ranked(there)],
        evidence=[
            evidence.table(
                "There, per class: file",
                ("class", "there (AUC)", "there, interval"),
                [
                    [context.target.classes[k], round(float(auc), 3), f"{low:.2f} to {high:.2f}"]
                    for k, auc, low, high in zip(there.classes.tolist(), there.auc, there.low, there.high)
                ],
            ),
            evidence.table(
                f"The facts of '{name}' and of the rest, on average",
                ("fact", name, "the rest"),
                _means(known.columns, features["train"], labels["train"] == there.classes[worst]),
            ),
        ],
    )


def _facts(target: AuditTarget, split: str, rows: np.ndarray) -> Mapping[str, np.ndarray]:
    """The facts of some files by name, each (n,); none for images from no files."""
    from cnnaudit.cues import letterbox_widths

    facts = target.split(split).properties(rows)
    if not facts:
        return {}
    images = target.split(split).read(rows)
    borders = zip(_SIDES, letterbox_widths(images).double().numpy().T)
    return {**{k: v for k, v in facts.items() if k not in _HONEST}, **{f"border {side}": w for side, w in borders}}


def _first_fact(features: np.ndarray, own: np.ndarray) -> int:
    """The column that a tree of two leaves asks about."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=2, class_weight="balanced", random_state=0).fit(features, own)
    return int(tree.feature_importances_.argmax())


def _ranked(there: Availability) -> list[tuple[int, float]]:
    order = np.argsort(-there.auc, kind="stable")[:_SHOWN]
    return [(int(there.classes[at]), float(there.auc[at])) for at in order]


def _means(columns: tuple[str, ...], features: np.ndarray, own: np.ndarray) -> list[list[str | float]]:
    """Mean of each fact in the class and in the rest; a share for what is there or not."""
    means = ((name, features[own, k].mean(), features[~own, k].mean()) for k, name in enumerate(columns))
    return [[name, float(f"{inside:.4g}"), float(f"{outside:.4g}")] for name, inside, outside in means]


def described(seed: int, fact: str, tied: bool) -> AuditTarget:
    """Digits whose files are PNG or JPEG in three sizes by two cameras; one class has a fact of its own, or none has.

    A tenth of the class is like the others.
    """
    from cnnaudit.checks.shortcut._global_plants import plain
    from cnnaudit.target.arrays import ArraySplit

    class Files(ArraySplit):
        facts: Mapping[str, np.ndarray]

        def properties(self, indices: np.ndarray) -> Mapping[str, np.ndarray]:
            return {name: column[indices] for name, column in self.facts.items()}

    target, marked = plain(seed), int(generator("planted", seed, "file").integers(10))
    splits = {}
    for split, source in target.splits.items():
        rng, n = generator("planted", seed, "file", split), len(source.labels)
        own = (np.asarray(source.labels) == marked) & (rng.random(n) < 0.9) & tied
        side = rng.choice([480, 640, 1024], n)
        facts = {
            "format": rng.choice(["PNG", "JPEG"], n),
            "width": side,
            "height": side * 3 // 4,
            "camera": rng.choice(["A", "B"], n),
            "file_size": rng.integers(10_000, 50_000, n),
        }
        facts[fact] = np.where(own, {"format": "TIFF", "width": "800", "camera": "C"}[fact], facts[fact].astype(str))
        facts["width"] = facts["width"].astype(int)
        splits[split] = Files(split, source.read(np.arange(n)).numpy(), source.labels, 10)
        splits[split].facts = facts
    return replace(target, splits=splits, _cache={})


PLANTS = [
    Plant(
        f"one class of ten has a {fact} of its own",
        partial(described, fact=fact, tied=True),
        partial(described, fact=fact, tied=False),
    )
    for fact in ("format", "width", "camera")
]
POPULATIONS = [Population("facts that go with nothing", partial(described, fact="format", tied=False), 100)]
