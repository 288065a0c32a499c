"""Does another preprocessing explain the labels better than the one that the file describes?

A model that is fed wrongly answers wrongly, and every other finding is then about the mistake. The usual other inputs
are tried on the same images: other scales, means and deviations, the other order of channels, resizing, inversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.behavior._sample import LISTED, sampled_images
from cnnaudit.checks.behavior._wrapped_models import wrapped
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.readout import readout
from cnnaudit.checks.small_targets import plain, sampled
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import generator

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.behavior._other_inputs import Alternative, Gain
    from cnnaudit.target import AuditTarget


@check(
    question="Does another preprocessing explain the labels better than the one that the file describes?",
    statistic="accuracy that the best other input would add",
    unit="share of images",
    direction="at_most",
    tolerance={"quick": 0.1, "standard": 0.05, "deep": 0.05},
    gate=True,
    remedy="Set the file's input to what the training code did (input.order, .scale, .mean, .std, .resize), then audit "
    "again: findings about a model that is fed wrongly mean little.",
    reference="McNemar, Note on the sampling error of the difference between correlated proportions, 1947; "
    "Clopper and Pearson, The use of confidence or fiducial limits, 1934",
    needs=("validation",),
)
def input(context: CheckContext) -> Finding:
    """Accuracy with the best of the usual other inputs less that with the described one, on the same images, or 0.

    Tried are the usual scales, means and deviations with both orders of channels, black and white exchanged, and, for
    image files, another resize. The interval is exact (the images that only one of two inputs gets right, Clopper and
    Pearson) and corrected for the inputs tried and for the looks at growing parts of the sample. The hint names a
    better input whatever the verdict, as soon as the gain is significant. The tolerance is a policy far above what
    ordinary networks show: the best other input added at most .025 to any of 101 of them.
    """
    from cnnaudit.checks.behavior._other_inputs import gains, other_inputs

    images, labels = sampled_images(context)
    right = (context.predictions("validation").argmax(1) == labels).numpy()
    others = [*other_inputs(context.target.input), *_other_sizes(context)]
    order = context.generator("order").permutation(len(labels))
    found = gains(context.target.logits, images, labels, right, others, order, context.tolerance, context.confidence)
    if not found:
        raise UnsupportedError(f"the model refuses each of {len(others)} other inputs")
    better = next((gain for gain in found if gain.low > 0), None)
    return context.judge(
        max(found[0].gain, 0.0),
        tuple(max(*(getattr(gain, side) for gain in found), 0.0) for side in ("low", "high")),
        n=len(labels),
        summary=_sentence(found[0], len(found)),
        hint=f"With {better.name}, {better.after} of {better.n} images are right instead of {better.before}."
        if better
        else "",
        evidence=[_table(found)],
    )


def _sentence(best: Gain, tried: int) -> str:
    """What the best other input does."""
    if best.gain <= 0:
        return f"None of {tried} other inputs explains more labels than the described one."
    return (
        f"The best of {tried} other inputs, {best.name}, gets {best.after} of {best.n} images right; the described "
        f"input gets {best.before}."
    )


def _table(found: Sequence[Gain]) -> evidence.Evidence:
    rows = [(g.name, g.n, round(g.before / g.n, 3), round(g.after / g.n, 3)) for g in found[:LISTED]]
    return evidence.table("Other inputs", ("input", "images", "accuracy as described", "accuracy with it"), rows)


def _other_sizes(context: CheckContext) -> list[Alternative]:
    """Resizing done otherwise, where the images are files that can be read anew."""
    from cnnaudit.checks.behavior._other_inputs import Alternative
    from cnnaudit.target.files import FileSplit

    split, spec = context.target.split("validation"), context.target.input
    if not isinstance(split, FileSplit):
        return []
    resize = round(min(spec.size) * 256 / 224) if spec.resize is None else None
    again, positions = split.with_input(replace(spec, resize=resize)), context.indices("validation")

    def read(rows: np.ndarray) -> torch.Tensor:
        return again.read(positions[rows])

    name = f"input.resize = {resize}" if resize else f"images resized straight to {spec.size[0]} x {spec.size[1]}"
    return [Alternative(name, lambda pixels: pixels, read)]


def tinted(seed: int, mistake: str = "", accuracy: float | None = None) -> AuditTarget:
    """Digits in warm ink below five, in cold ink above, for a model whose input the file describes rightly or not.

    Args:
        mistake: none, `BGR` (the file has red and blue the wrong way round), `divided by 255` (the network wants
            pixels up to 255), `times 255` (the file says so by mistake), `ImageNet`, `[-1, 1]`, `Caffe` (a mean and
            deviation that the file forgets) or `inverted`.
        accuracy: what the file claims.
    """
    import torch

    from cnnaudit.target import AuditTarget, Claims, InputSpec

    splits = {}
    for split in ("train", "validation"):
        images, labels, classes = sampled("digits", split, seed)
        warm = generator("planted", seed, "ink", split).uniform(0.6, 1, len(labels)).astype(np.float32)
        ink = np.stack((warm, np.full_like(warm, 0.5), 1 - warm), 1)
        ink = np.where(labels[:, None] < 5, ink, ink[:, ::-1])
        splits[split] = (images * ink[:, :, None, None], labels)

    def pixels(mean: Sequence[float], std: Sequence[float]) -> partial[torch.Tensor]:
        return partial(lambda x, m, d: x * d + m, m=torch.tensor(mean).view(3, 1, 1), d=torch.tensor(std).view(3, 1, 1))

    changes = {
        "": None,
        "BGR": lambda x: x.flip(1),
        "divided by 255": lambda x: x / 255,
        "times 255": lambda x: (x * 255).clamp(0, 1),
        "ImageNet": pixels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "[-1, 1]": pixels((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        "Caffe": lambda x: (x.flip(1) + torch.tensor((123.68, 116.779, 103.939)).view(3, 1, 1)) / 255,
        "inverted": lambda x: 1 - x,
    }
    spec = InputSpec(3, splits["train"][0].shape[2:], scale=255.0 if mistake == "times 255" else 1.0)
    model = wrapped(readout(*splits["train"], 10), image=changes[mistake])
    return AuditTarget.from_arrays("tinted digits", model, splits, classes, input=spec, claims=Claims(accuracy))


PLANTS = [
    Plant(name, partial(tinted, mistake=mistake), tinted)
    for name, mistake in {
        "red and blue swapped": "BGR",
        "pixels up to 255 wanted": "divided by 255",
        "scale = 255 by mistake": "times 255",
        "mean and std of ImageNet forgotten": "ImageNet",
        "Caffe's BGR and mean forgotten": "Caffe",
        "black and white exchanged": "inverted",
    }.items()
]


POPULATIONS = [
    *ordinary(seeds=300),
    *(
        Population(f"LeNets on {source}", partial(plain, source=source, trained=True))
        for source in ("digits", "figures")
    ),
]
