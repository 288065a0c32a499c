"""Is the model right as often as its confidence says?

A confidence of .9 that is right in .7 of the images misleads all who act on it: a threshold, a doctor, a fallback.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.behavior._claims import bound_by, is_claimed
from cnnaudit.checks.behavior._sample import sampled_images
from cnnaudit.checks.behavior._wrapped_models import wrapped
from cnnaudit.checks.populations import ordinary
from cnnaudit.checks.small_targets import fitted_readout, sampled
from cnnaudit.core import evidence
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.evidence import Evidence
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import generator
from cnnaudit.core.statistics.confidence import (
    best_temperature,
    calibration_error,
    confidence_gap,
    reliability,
    risk_at_coverage,
    softmax,
)

if TYPE_CHECKING:
    from cnnaudit.target import AuditTarget

COVERAGES = tuple(k / 20 for k in range(1, 21))
_FEW = 10  # images of a bin below which it is left out of the drawing


@check(
    question="Is the model right as often as its confidence says?",
    statistic="mean confidence less accuracy, either way",
    unit="share of images",
    direction="at_most",
    tolerance=0.15,
    gate=partial(is_claimed, claim="calibrated"),
    remedy="Divide the logits by the temperature that this finding names, confirmed on images that it was not fitted "
    "to, or train with label smoothing or mixup; then audit again.",
    reference="Guo et al., On calibration of modern neural networks, 2017; "
    "Kumar, Liang and Ma, Verified uncertainty calibration, 2019",
    needs=("validation",),
)
def calibration(context: CheckContext) -> Finding:
    """|mean of the largest probability - accuracy| on the validation images, no forward pass of its own.

    The interval joins the exact interval of the accuracy with that of the mean confidence (`confidence_gap`). The gap
    is what is judged; over- and underconfidence that cancel show in the debiased calibration error (ECE, 15 bins,
    Kumar 2019), in the reliability diagram and in a hint. The temperature is fitted to one half of the images and its
    effect told on the other. With `claims.calibrated` the claim is the tolerance.

    Tolerance without a claim: of 120 ordinary networks the largest gap is .13 (three to one training data, ten
    classes); logits at .4 times the right temperature show .23 and more.
    """
    context = bound_by(context, "calibrated")
    _, labels = sampled_images(context)
    logits, truth = context.predictions("validation").numpy(), labels.numpy()
    _require_logits(logits, truth, context.target.classes)
    probabilities = softmax(logits)
    confidence, right = probabilities.max(1), logits.argmax(1) == truth
    gap, (low, high) = confidence_gap(confidence, right, context.confidence)
    error = calibration_error(confidence, right)
    temperature, before, after = _mended(logits, truth, context.generator("halves"))
    return context.judge(
        abs(gap),
        (max(low, -high, 0.0), max(high, -low)),
        n=len(truth),
        summary=f"The model is {confidence.mean():.3f} sure on average and right in {right.mean():.3f} of "
        f"{len(truth)} images: {_in_words(low, high)}. Its debiased calibration error is {error:.3f}.",
        hint=f"Confidences are too high in some places and too low in others: the calibration error of {error:.3f} is "
        f"above {context.tolerance:g}, though they are right on average."
        if high <= context.tolerance < error and -low <= context.tolerance
        else "",
        evidence=[
            *_figures(confidence, right),
            evidence.table(
                "The temperature that fits best, from one half of the images, and the other half",
                ("temperature", "calibration error", "with the temperature", "mean loss", "with the temperature"),
                [(round(temperature, 3), *(round(value, 4) for pair in zip(before, after) for value in pair))],
            ),
        ],
    )


def _require_logits(logits: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> None:
    """Refuse answers whose confidence cannot be compared with the accuracy."""
    if logits.shape[1] < 2:
        raise UnsupportedError("a model of one class is always sure: there is no confidence to compare")
    if len(np.unique(labels)) < 2:
        raise UnsupportedError(
            f"all {len(labels)} validation images are of class '{classes[labels[0]]}': confidence can be compared with "
            "accuracy only where the classes occur as they do in use"
        )
    if logits.min() >= 0 and np.allclose(logits.sum(1), 1, atol=1e-3):
        raise UnsupportedError(
            "the model answers probabilities (rows in [0, 1] that sum to 1) where logits are expected; set "
            "model.outputs = 'probabilities', or return the logits before the softmax"
        )


def _in_words(low: float, high: float) -> str:
    """Which way the confidences are off, where that is known."""
    return "it is too sure" if low > 0 else "it is not sure enough" if high < 0 else "the two agree within their error"


def _mended(
    logits: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """The temperature fitted to one half; calibration error and mean loss of the other half, before and after."""
    order = rng.permutation(len(labels))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    temperature = best_temperature(logits[first], labels[first])

    def measured(t: float) -> tuple[float, float]:
        probabilities = softmax(logits[second] / t)
        right = probabilities.argmax(1) == labels[second]
        own = probabilities[np.arange(len(second)), labels[second]]
        return calibration_error(probabilities.max(1), right), float(-np.log(np.maximum(own, 1e-30)).mean())

    return temperature, measured(1.0), measured(temperature)


def _figures(confidence: np.ndarray, right: np.ndarray) -> list[Evidence]:
    """The reliability diagram and the risk at each coverage."""
    found = reliability(confidence, right)
    shown = found.images >= min(_FEW, found.images.max())
    middle = found.confidence[shown].tolist()
    return [
        evidence.curve(
            "Reliability: how often answers of a confidence are right",
            middle,
            {"measured": found.accuracy[shown].tolist(), "perfect": middle},
            x_label="confidence",
            y_label="accuracy",
        ),
        evidence.table(
            "Confidence and accuracy in bins",
            ("mean confidence", "accuracy", "images"),
            [(round(c, 3), round(a, 3), n) for c, a, n in zip(found.confidence, found.accuracy, found.images)],
        ),
        evidence.curve(
            "Risk where only the most confident images are answered",
            COVERAGES,
            {"wrong answers": risk_at_coverage(confidence, right, COVERAGES)},
            x_label="share of images answered",
            y_label="share of wrong answers",
        ),
    ]


def drawn_labels(seed: int, temperature: float, accuracy: float = 0.7) -> AuditTarget:
    """Digits whose labels are drawn from the model's own probabilities, then asked at another temperature.

    At temperature 1 the model is perfectly calibrated, whatever its weights are. Its logits are first scaled so that
    the mean confidence, which is then its accuracy, is `accuracy`.
    """
    import torch
    from scipy.optimize import brentq

    from cnnaudit.target import AuditTarget

    images, _, classes = sampled("digits", "validation", seed)
    model = fitted_readout("digits", seed)
    with torch.no_grad():
        logits = model(torch.from_numpy(images)).double().numpy()
    factor = brentq(lambda k: softmax(logits * k).max(1).mean() - accuracy, 1e-2, 1e3)
    cumulative = softmax(logits * factor).cumsum(1)
    draws = generator("planted", seed, "labels").random((len(images), 1))
    labels = np.minimum((draws > cumulative).sum(1), len(classes) - 1)
    asked = wrapped(model, answer=lambda z: z * (factor / temperature))
    return AuditTarget.from_arrays("drawn labels", asked, {"validation": (images, labels)}, classes)


PLANTS = [
    Plant(
        f"{'too' if t < 1 else 'not'} sure{'' if t < 1 else ' enough'}: temperature {t:g}",
        partial(drawn_labels, temperature=t),
        partial(drawn_labels, temperature=1.0),
    )
    for t in (0.1, 0.4, 2.0, 5.0)
]
POPULATIONS = [*ordinary(seeds=120)]
