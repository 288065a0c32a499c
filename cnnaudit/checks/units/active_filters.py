"""Do the filters that are active on a class carry the class?

Pictures of networks show the filters that are most active on an image, and readers take them for the important ones.
The audit measures what each filter of the first layer tells about the class, and compares the active ones with the
best.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, Population, check
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.readout import readout
from cnnaudit.checks.small_targets import unit_images
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import bootstrap_interval, permutation_p_value

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.activation import ActiveFilters
    from cnnaudit.activation.information import Agreement
    from cnnaudit.target import AuditTarget

FEWEST_FILTERS = 6  # a third of them are the best
LEAST_TOLD = 0.1  # AUC above .5 of the best filters; ordinary networks have .13 and more
MOST_IMAGES = 2_000
MOST_CLASSES = 20


@check(
    question="Do the filters that are active on a class carry the class?",
    statistic="AUC above .5 of the filters of the first layer that are active on a class, relative to the best filters",
    unit="ratio",
    direction="at_least",
    tolerance=0.4,
    gate=False,
    remedy="Do not read an active filter of this layer as an important one: rank filters by the AUC of their maps (see "
    "the table), or by the accuracy that is lost without them.",
    reference="Aouassar, Madhar and Gea, Visualizing and understanding convolutional networks, 2019",
    needs=("validation", "inside"),
)
def active_filters(context: CheckContext) -> Finding:
    """How well the filters active on a class tell it from the rest, relative to the filters that tell it best.

    The layer is that of the source, the first convolution (with its activation function). For a class, the activity of
    a filter is the share of the class's images on which it is active (its map's norm exceeds the mean norm over the
    filters), its information the AUC of the class against the rest from its map alone, averaged over a 4 x 4 grid, by
    ridge regression in 5 folds (`cnnaudit.activation.information`). The statistic is the mean information above .5,
    weighted by activity, divided by that of the most informative third of the filters, mean over the classes (at most
    20, with 5 images or more); its interval is a bootstrap over images. The rank correlation of activity and
    information, and how far the deconvnet of a filter's map resembles the image, are shown but not judged. Where the
    best filters tell next to nothing (AUC below .6), it is not applicable.

    Tolerance: of 136 ordinary networks (digits, MNIST, Fashion-MNIST, CIFAR-10; seven architectures) the lowest
    measured .62, while filters that return a constant measure 0: .4. The rank correlation does not tell them
    apart: it was between -.84 and .90 in the ordinary networks.
    """
    target = context.target
    from cnnaudit.activation._active_filters import filter_responses
    from cnnaudit.activation.information import agreement
    from cnnaudit.activation.layers import first_response

    images, labels = _some(context)
    layer = first_response(target.model, images[:1].to(target.device))
    found, maps = filter_responses(target.model, images, layer, batch_size=target.batch_size, device=target.device)
    if (filters := found.norms.shape[1]) < FEWEST_FILTERS:
        raise UnsupportedError(
            f"layer {layer} has {filters} filter{'s' * (filters != 1)}, a rank correlation needs {FEWEST_FILTERS}"
        )
    measured = agreement(maps, found.active, labels, MOST_CLASSES)
    if measured is None:
        raise UnsupportedError("fewer than two classes have 5 images in the sample; run with --profile deep")
    if measured.best < LEAST_TOLD:
        raise UnsupportedError(
            f"no filter of layer {layer} tells a class from the rest: the best third have an AUC of "
            f"{measured.best + 0.5:.2f}; at least {LEAST_TOLD + 0.5:.2f} is needed, chance is .50"
        )
    statistic = float(measured.carried().mean())
    interval = bootstrap_interval(
        np.arange(len(images)),
        lambda rows: float(measured.carried(rows).mean()),
        rng=context.generator("bootstrap"),
        confidence=context.confidence,
        resamples=context.resamples,
    )
    null = measured.permuted(context.resamples, context.generator("permutation"))
    return context.judge(
        statistic,
        interval,
        n=len(images),
        summary=_summary(layer, found, measured, statistic),
        locations=[
            Location(float(value), layer=layer, class_name=target.classes[k])
            for k, value in zip(measured.classes, measured.carried())
        ],
        evidence=_evidence(context, images, labels, found, measured, null),
    )


def _some(context: CheckContext) -> tuple[torch.Tensor, np.ndarray]:
    """The images of the context, at most 2,000 of them in equal steps through the classes, and their labels."""
    images, labels = context.sample("validation")
    if len(images) <= MOST_IMAGES:
        return images, labels.numpy()
    order = np.argsort(labels.numpy(), kind="stable")
    rows = np.sort(order[np.linspace(0, len(order) - 1, min(len(order), MOST_IMAGES)).astype(int)])
    return images[rows], labels.numpy()[rows]


def _summary(layer: str, found: ActiveFilters, measured: Agreement, statistic: float) -> str:
    """The statistic, and the two numbers that it is the ratio of."""
    filters = measured.information.shape[1]
    correlation = round(float(measured.correlations().mean()), 2) + 0.0
    return (
        f"The filters of layer {layer} that are active on a class tell it from the rest with an AUC of "
        f"{statistic * measured.best + 0.5:.2f}, the best third of its {filters} filters with "
        f"{measured.best + 0.5:.2f} (rank correlation of activity and AUC over the filters: {correlation:.2f})."
    )


def _evidence(
    context: CheckContext,
    images: torch.Tensor,
    labels: np.ndarray,
    found: ActiveFilters,
    measured: Agreement,
    null: np.ndarray,
) -> list[Evidence]:
    """The filters by activity with what each tells, the null distribution, and the boxplots of the source."""
    target = context.target
    activity, information = measured.activity.mean(axis=0), measured.information.mean(axis=0)
    order = np.argsort(-activity, kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), 24)).round().astype(int))]
    alike = _reconstructions(target, images, found.layer, shown)
    statistic = float(measured.carried().mean())
    p_value = permutation_p_value(statistic, null)
    classes = dict(zip((target.classes[k] for k in measured.classes), measured.carried()))
    rows = [
        [int(c), round(float(activity[c]), 3), round(float(information[c]), 3), *([alike[c]] if alike else [])]
        for c in shown
    ]
    columns = ["filter", "active on (share of images)", "AUC of a class from its map"]
    columns += ["likeness of its deconvnet to the image"] if alike else []
    counts = f"{len(found.never)} active on no image, {len(found.always)} on every one, of {len(order)}"
    return [
        evidence.table(f"Filters of {found.layer}, most active first ({counts})", columns, rows),
        evidence.boxes(
            "Norm of each filter's map, relative to the mean of the image, most active first",
            {f"filter {c}": _relative(found.norms)[:, c] for c in shown},
            label="norm / mean norm (above 1: active)",
        ),
        *_by_class(target, labels, found, order),
        evidence.bars(
            "Active filters by class", classes, label="AUC above .5 / that of the best", tolerance=context.tolerance
        ),
        evidence.null_distribution(
            f"The same with the filters shuffled: {p_value:.0%} reach the measured value",
            null,
            statistic,
            label="AUC above .5 / that of the best",
            tolerance=context.tolerance,
        ),
    ]


def _by_class(target: AuditTarget, labels: np.ndarray, found: ActiveFilters, order: np.ndarray) -> list[Evidence]:
    """Boxplots by class of the most active filter and of the least active one that responds at all."""
    present = np.unique(labels)[:24]
    living = [c for c in order if found.norms[:, c].any()]
    return [
        evidence.boxes(
            f"Norm of the {words} filter, {c}, by class",
            {target.classes[k]: _relative(found.norms)[labels == k, c] for k in present},
            label="norm / mean norm (above 1: active)",
        )
        for words, c in zip(("most active", "least active living"), (living[0], living[-1]) if len(living) > 1 else ())
    ]


def _relative(norms: np.ndarray) -> np.ndarray:
    """The norms of each image's maps relative to their mean; 0 where all are 0."""
    mean = norms.mean(axis=1, keepdims=True)
    return np.asarray(np.divide(norms, mean, out=np.zeros_like(norms), where=mean > 0))


def _reconstructions(
    target: AuditTarget, images: torch.Tensor, layer: str, filters: np.ndarray
) -> dict[int, float] | None:
    """Per filter the mean |correlation| of images with the deconvnet of its map; None where deconvnet is not defined.

    As many images as make 8 of 224 x 224 affordable for 24 filters, at most 16.
    """
    import warnings

    from cnnaudit.attribution import deconvnet

    few = max(2, min(16, 2 * 224 * 224 // (images.shape[2] * images.shape[3])))
    chosen = images[np.linspace(0, len(images) - 1, min(few, len(images))).astype(int)].to(target.device)
    centered = chosen.double() - chosen.double().mean((1, 2, 3), keepdim=True)
    alike = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a filter that is silent on an image: its likeness is 0
        for c in filters.tolist():
            try:
                back = deconvnet(target.model, chosen, layer=layer, unit=c).double()
            except UnsupportedError:
                return None
            back = back - back.mean((1, 2, 3), keepdim=True)
            scale = (back.square().sum((1, 2, 3)) * centered.square().sum((1, 2, 3))).sqrt()
            products = (back * centered).sum((1, 2, 3)).abs()
            alike[c] = round(float((products / scale.clamp(min=1e-12)).mean()), 3)
    return alike


BIASED = 16


def loud_filters(seed: int, source: str = "digits", informative: bool = True) -> AuditTarget:
    """Half of the first layer's filters read the image, the other half return a constant; one half is louder.

    The louder half is the active one: that of the informative filters, or that of the constants. The predictions are
    the same in both networks, since a ReLU network can undo any scale of a filter in the next layer. Four random
    classes of the images, or all where there are no more.
    """
    from cnnaudit.target import AuditTarget

    rng = np.random.default_rng(seed)
    images, labels, names = unit_images(source, rng)
    kept = np.sort(rng.choice(len(names), min(4, len(names)), replace=False))
    rows = np.isin(labels, kept)
    images, labels = images[rows], np.searchsorted(kept, labels[rows])
    network = readout(images, labels, len(kept))
    _with_constants(network, rng, (0.05, 2.0) if informative else (2.0, 0.05))
    return AuditTarget.from_arrays(
        f"planted: {'informative' if informative else 'constant'} filters are loud, {source}",
        network,
        {"validation": (images, labels)},
        classes=[names[k] for k in kept],
    )


def _with_constants(network: nn.Sequential, rng: np.random.Generator, loudness: tuple[float, float]) -> None:
    """Give a `readout` 16 more filters of zeros with a bias, and scale its own; its logits do not change.

    `loudness`: of the constants and of the others, up to a random factor of at most 2 for each filter.
    """
    import torch
    from torch import nn

    convolution, linear = network[0], network[4]
    assert isinstance(convolution, nn.Conv2d) and isinstance(linear, nn.Linear)
    own = len(convolution.weight)
    cells = linear.in_features // own
    draw = torch.from_numpy(rng.uniform(1, 2, own + BIASED)).float()
    gain, bias = loudness[1] * draw[:own], loudness[0] * draw[own:]
    louder = nn.Conv2d(convolution.in_channels, own + BIASED, convolution.kernel_size)  # type: ignore[arg-type]
    wider = nn.Linear((own + BIASED) * cells, linear.out_features)
    with torch.no_grad():
        louder.weight.zero_()
        louder.weight[:own] = convolution.weight * gain.view(-1, 1, 1, 1)
        louder.bias.zero_()  # type: ignore[union-attr]
        louder.bias[own:] = bias  # type: ignore[index]
        wider.weight.zero_()
        wider.weight[:, : own * cells] = linear.weight / gain.repeat_interleave(cells)
        wider.bias.copy_(linear.bias)
    network[0], network[4] = louder.eval(), wider.eval()


PLANTS = [
    Plant(
        "the most active filters return a constant",
        partial(loud_filters, informative=False),
        partial(loud_filters, informative=True),
    ),
]


POPULATIONS = [*ordinary(seeds=300), Population("informative filters are loud", loud_filters, 20)]
