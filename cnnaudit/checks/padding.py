"""Does the network owe its answers to the padding around its images?"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks.registry import Trial, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import bootstrap_interval

if TYPE_CHECKING:
    import torch

    from cnnaudit.interventions import Call
    from cnnaudit.checks.padding._blind_spot import Stimulus
    from cnnaudit.target import AuditTarget

_MIND_THE_PAD = "Alsallakh et al., Mind the Pad: CNNs can develop blind spots, ICLR 2021 (arXiv 2010.02178)"
_THESIS = "España, Sensitivity analysis of the CNN learning process using synthetic images, 2021"
_REPEAT = "Pad with the nearest pixel (padding_mode='replicate') instead of zeros, and train again."


@check(
    "padding.uneven_application",
    question="Is the padding of every strided layer applied on both sides alike?",
    statistic="layers that apply their padding unevenly",
    unit="layers",
    direction="at_most",
    tolerance=0,
    gate=False,
    remedy="Choose an input size at which every strided layer uses up its padding on both sides.",
    reference=_MIND_THE_PAD,
    needs=("inside",),
    exact=True,
)
def check_uneven_application(target: AuditTarget, trial: Trial) -> Finding:
    """Strided (or asymmetrically padded) convolutions and poolings that read more padding on one side than the other.

    A layer is even where, along both axes, left padding = right padding = right padding that its last window reads,
    which is (h + p_left + p_right - d (k - 1) - 1) mod s = 0; see `cnnaudit.checks.padding._geometry`. Poolings count, as
    in the source (ResNet at 224: the first convolution, the max pooling and three more convolutions, 5 of 5). Layers
    without padding that leave out the last rows are crops: shown, not counted. The tolerance is 0: it is arithmetic.
    """
    from cnnaudit.checks.padding._figures import geometry_table
    from cnnaudit.checks.padding._geometry import applications, even_size

    layers = applications(_observed(target))
    if not layers:
        raise UnsupportedError("no convolution or pooling strides, so every layer applies its padding evenly")
    shape = (target.input.channels, *target.input.size)
    padded = [layer for layer in layers if layer.padded]
    uneven = [layer for layer in padded if not layer.even]
    crops = sum(layer.cropped > 0 for layer in layers)
    even = even_size(target.model, shape, most=_affordable(trial, 64)) if uneven else None
    at = f"at {_by(target.input.size)} pixels"
    summary = (
        f"{len(uneven)} of {len(padded)} strided layers with padding read more of it on one side than on the other {at}"
        if padded
        else f"No strided layer pads its input {at} ({len(layers)} layer{'s' * (len(layers) > 1)})"
    )
    summary += f"; at {_by(even)} none would" if even else ""
    summary += f"; {crops} without padding leave{'s' * (crops == 1)} out the last row or column" if crops else ""
    remedy = (
        f"Use images of {_by(even)} pixels (input.size in the audit file) and train or fine-tune at that size."
        if even
        else "No input size nearby is even and accepted by the model: pad both sides alike, or change stride or kernel."
    )
    return trial.judge(
        len(uneven),
        (len(uneven), len(uneven)),
        n=len(padded),
        n_unit="layers",
        summary=f"{summary}.",
        remedy=remedy if uneven else None,
        locations=[Location(layer.imbalance, layer=layer.layer) for layer in uneven],
        evidence=[geometry_table(layers)],
    )


@check(
    "padding.border_response",
    question="Does the border of an empty image excite a layer where its middle does not?",
    statistic="response of an empty image's border / peak response to the images, worst layer",
    unit="share of the peak response",
    direction="at_most",
    tolerance=0.05,
    gate=False,
    remedy=_REPEAT,
    reference=_THESIS,
    needs=("validation", "inside"),
)
def check_border_response(target: AuditTarget, trial: Trial) -> Finding:
    """Response that padding alone causes on images of pure background, in units of what the images excite.

    Per layer, sum over images of `excess` / sum over images of `peak` (see `border_response`), each
    image with its own background color; the worst layer is the statistic. The interval is a bootstrap over images of
    that maximum. Under replicate, reflect and circular padding a constant image stays constant, so the statistic is 0
    by construction and the null is degenerate: the tolerance is a policy, a twentieth of the peak.
    """
    from cnnaudit.checks.padding._border import border_response
    from cnnaudit.checks.padding._figures import layer_bars, layer_locations, map_figure, peak_pixel

    layers = _padded_layers(trial)
    images = trial.sample("validation")[0]
    images = images[_some(trial, len(images), _affordable(trial, 32))]
    measured = border_response(target.model, images, layers, batch_size=_batch(target), device=target.device)
    _require_life(measured.peak)
    shares = measured.shares()
    worst = measured.layers[int(shares.argmax())]
    heat = measured.maps[worst]
    return trial.judge(
        float(shares.max()),
        _interval(trial, len(images), lambda rows: float(measured.shares(rows).max()), (0, np.inf)),
        n=len(images),
        summary=f"On empty images of the data's own background colors, padding excites the border of layer {worst} "
        f"to {shares.max():.0%} of the peak that the images excite there.",
        locations=layer_locations(measured.layers, shares, {worst: peak_pixel(heat)}),
        evidence=[
            map_figure(f"Response that padding causes on empty images: {worst}", heat, "mean activation"),
            *layer_bars("Border response by layer", measured.layers, shares, "share of the peak", trial.tolerance),
        ],
    )


@check(
    "padding.border_maximum",
    question="Does the strongest pixel lie at the border more often than the images' content explains?",
    statistic="share of maxima in the border ring over background, beyond replicate padding, worst layer",
    unit="share of maxima",
    direction="at_most",
    tolerance=0.05,
    gate=False,
    remedy=_REPEAT,
    reference=_THESIS,
    needs=("validation", "inside"),
)
def check_border_maximum(target: AuditTarget, trial: Trial) -> Finding:
    """Share of quadrant maxima that lie in the outermost ring over background, less the same under replicate padding.

    Per layer, sum over images of (won - won under replicate padding) / sum over images of live quadrants (see
    `border_maxima`); the worst layer is the statistic, its interval a bootstrap over images of that maximum. The same
    weights under replicate padding are the counterfactual that holds content and ring area fixed, and give 0 by
    construction to networks trained so. Tolerance: the 99 % point of the clean populations is .010 (circular padding),
    and the interval of 500 images reaches up to .04 beyond: .05. (Not clean in this sense: reflect and circular padding
    in deep networks, which repeat or import content at the border; untrained they measure .03 and .04 in the median.)
    """
    from cnnaudit.checks.padding._border import border_maxima
    from cnnaudit.checks.padding._figures import layer_bars, layer_locations, map_figure, marked_images, peak_pixel

    layers = _padded_layers(trial)
    images = trial.sample("validation")[0]
    images = images[_some(trial, len(images), _affordable(trial, 64))]
    measured = border_maxima(target.model, images, layers, batch_size=_batch(target), device=target.device)
    _require_life(measured.live)
    excess = measured.excess()
    index = int(excess.argmax())
    worst, live = measured.layers[index], measured.live[:, index].sum()
    own, replicate = (part[:, index].sum() / live for part in (measured.won, measured.won_replicate))
    heat = measured.maps[worst]
    return trial.judge(
        float(excess.max()),
        _interval(trial, len(images), lambda rows: float(measured.excess(rows).max()), (-1, 1)),
        n=len(images),
        summary=f"In layer {worst} the strongest pixel of a quadrant lies in the border ring over background in "
        f"{own:.1%} of the cases, with replicate padding in {replicate:.1%}; the ring is "
        f"{measured.ring_share[index]:.1%} of the map.",
        locations=layer_locations(measured.layers, excess, {worst: peak_pixel(heat)}),
        evidence=[
            map_figure(f"Where the border's maxima lie: {worst}", heat, "maxima per image"),
            *layer_bars("Maxima at the border, by layer", measured.layers, excess, "beyond replicate", trial.tolerance),
            *marked_images("Strongest pixel at the border", images, measured.pixels[:, index], heat.shape),
        ],
    )


@check(
    "padding.prediction_flip",
    question="Do predictions depend on what the padding holds?",
    statistic="share of predictions that change under replicate padding",
    unit="share of images",
    direction="at_most",
    tolerance=0.1,
    gate=False,
    remedy=f"{_REPEAT} See padding.border_maximum for the layers that read the border.",
    reference=f"Garriga, Studying the characterisation of deep CNN neurons, 2019; {_THESIS}",
    needs=("validation", "inside"),
)
def check_prediction_flip(target: AuditTarget, trial: Trial) -> Finding:
    """Share of predictions that change when all padding is replicate, with an exact binomial interval.

    Beside it stand, unjudged, the share that changes when one layer's padding alone holds uniform noise from the
    range of its input (each layer on a few images, then the worst layer on all), and both for an untrained copy. Noise
    is not judged because it accuses the innocent: on dataset 3.0 it changes 59 % of the predictions of networks trained
    with replicate padding and 41 % of those trained with zeros (medians), replicate padding 0 and 1 to 23 %.
    Tolerance: the 99 % point of the clean populations is .047 (circular padding), and the interval of 125 images
    reaches .05 beyond: .1.
    """
    from cnnaudit.checks.padding._figures import flip_figures
    from cnnaudit.checks.padding._flips import noise_effects, noise_predictions, padding_convolutions, replicate_predictions

    layers = padding_convolutions(_observed(target))
    if not layers:
        raise UnsupportedError("no convolution pads its input, so there is no padding to replace")
    images = trial.sample("validation")[0]
    chosen = _some(trial, len(images), _affordable(trial, 125))
    images, before = images[chosen], trial.predictions("validation")[chosen].argmax(1)
    few = images[: max(4, _affordable(trial, 100) // len(layers))]
    effects = noise_effects(target.model, target.logits, few, layers, trial.torch_generator("screen"))
    worst = effects[0].layer
    after = replicate_predictions(target.logits, images, target.model)
    noisy = noise_predictions(target.logits, images, target.model, worst, trial.torch_generator("noise"))
    flips = int((after != before).sum())
    row = ["this model", len(images), flips / len(images), float((noisy != before).double().mean())]
    untrained = _untrained_flips(target, trial, images[: _affordable(trial, 24)], worst)
    beside = f" (in an untrained copy {untrained[2]:.1%} and {untrained[3]:.1%})" if untrained else ""
    return trial.judge_share(
        flips,
        len(images),
        summary=f"{row[2]:.1%} of the predictions change when all padding repeats the nearest pixel, {row[3]:.1%} when "
        f"the padding of layer {worst} alone holds noise{beside}.",
        locations=[Location(effect.flips, layer=effect.layer) for effect in effects],
        evidence=flip_figures(
            [row, *([untrained] if untrained else [])], effects, images, before, after, target.classes
        ),
    )


@check(
    "padding.blind_spot",
    question="Is content recognized wherever it stands in the image?",
    statistic="accuracy lost at the worst position",
    unit="share of images",
    direction="at_most",
    tolerance=0.1,
    gate=lambda target: bool(target.claims.translation_pixels),
    remedy="Choose an input size at which padding is applied evenly (see padding.uneven_application), pad with the "
    "nearest pixel instead of zeros, and train with shifted images.",
    reference=_MIND_THE_PAD,
    needs=("validation",),
)
def check_blind_spot(target: AuditTarget, trial: Trial) -> Finding:
    """Accuracy on the images' own content, moved about, at other positions less that at the worst.

    The content of some images is put on its background at 5 x 5 positions; the position where the true class is least
    probable is then asked of fresh images, each beside another position (see `find_blind_spot`). The statistic is
    (recognized only elsewhere - recognized only there) / images; on fresh images the search adds no bias. Its interval
    is `paired_drop_interval`; the p-value is the search's max-statistic permutation over positions. Without a claim the
    positions span the image; with `claims.translation_pixels` no more than what it promises, see `grid_for`.
    Tolerance: the 99 % point of the clean populations is .047 (digits anywhere, even strides), and the interval of 375
    images reaches .05 beyond: .1.
    """
    from cnnaudit.checks.padding._blind_spot import GRID, find_blind_spot, grid_for
    from cnnaudit.checks.padding._figures import blind_spot_figures

    searched, measured = max(4, _affordable(trial, 100) // GRID**2), _affordable(trial, 125)
    stimuli, size = _stimuli(trial, searched + measured), target.input.size
    grid = grid_for(stimuli, size, target.claims.translation_pixels)
    searched = min(searched, len(stimuli) // 4)
    spot = find_blind_spot(target.logits, stimuli, size, grid, searched=searched, rng=trial.generator("places"))
    null = spot.scan.null(trial.resamples, trial.generator("permutation"))
    worst, other = (float(np.mean(read == spot.truth)) for read in (spot.worst, spot.other))
    where = "elsewhere" if spot.everywhere else grid.words(spot.scan.best)
    return trial.judge(
        spot.drop,
        spot.interval(trial.confidence),
        n=len(spot.truth),
        p_value=spot.scan.p_value(null),
        summary=f"Of the images' contents, moved about, {worst:.1%} are recognized {grid.words(spot.scan.worst)}, "
        f"{other:.1%} {where}.",
        evidence=blind_spot_figures(spot, null, stimuli[searched:], grid, size, target.classes),
    )


def _observed(target: AuditTarget) -> list[Call]:
    """The calls of one forward pass; a model without convolutions is refused."""
    import torch

    from cnnaudit.interventions import calls

    blank = torch.zeros(1, target.input.channels, *target.input.size, device=target.device)
    observed = calls(target.model, blank)
    if not any(call.kind == "conv2d" for call in observed):
        raise UnsupportedError("the model calls no 2-d convolution")
    return observed


def _padded_layers(trial: Trial) -> dict[str, str]:
    """The padded convolutions with their responses; a model without any is refused."""
    from cnnaudit.checks.padding._border import padded_layers

    trial.predictions("validation")  # refuses a model that answers NaN, whose activations would say nothing
    layers = padded_layers(_observed(trial.target))
    if not layers:
        raise UnsupportedError("no convolution with a map of 8 x 8 or more pads its input, so there is no border")
    return layers


def _stimuli(trial: Trial, most: int) -> list[Stimulus]:
    """The contents of images of the sample, in random order, at most that many."""
    from cnnaudit.checks.padding._blind_spot import stimulus_of

    images, labels = trial.sample("validation")
    order = trial.generator("images").permutation(len(images))
    claim = trial.target.claims.translation_pixels
    found = (stimulus_of(images[i], int(labels[i]), claim) for i in order)
    stimuli = list(itertools.islice((stimulus for stimulus in found if stimulus is not None), most))
    if len(stimuli) < 8:
        raise UnsupportedError(f"only {len(stimuli)} of {len(images)} images show anything but their background")
    return stimuli


def _affordable(trial: Trial, forwards: int) -> int:
    """How many images cost as much as `forwards` images of 224 x 224 (more of smaller ones), at least 8.

    That is for the quick profile; the others have proportionally more.
    """
    height, width = trial.target.input.size
    images = trial.profile.images or 10_000
    return max(8, forwards * 224 * 224 * images // (500 * height * width))


def _some(trial: Trial, available: int, most: int) -> np.ndarray:
    """Positions in the sample of at most that many images, in random order."""
    return trial.generator("images").permutation(available)[:most]


def _batch(target: AuditTarget) -> int:
    """Images at once where activations are kept: the pixels of 8 images of 224 x 224."""
    height, width = target.input.size
    return min(target.batch_size, max(1, 8 * 224 * 224 // (height * width)))


def _require_life(responses: np.ndarray) -> None:
    """Refuse to speak of borders where nothing responds."""
    if not responses.any():
        raise UnsupportedError("no layer with padding responds to any image: its units are dead")


def _interval(
    trial: Trial, n: int, statistic: Callable[[np.ndarray], float], bounds: tuple[float, float]
) -> tuple[float, float]:
    """The bootstrap over n images of a statistic of their positions."""
    if n < 2:
        raise UnsupportedError("needs at least 2 validation images")
    return bootstrap_interval(
        np.arange(n),
        statistic,
        rng=trial.generator("bootstrap"),
        confidence=trial.confidence,
        resamples=trial.resamples,
        bounds=bounds,
    )


def _untrained_flips(target: AuditTarget, trial: Trial, images: torch.Tensor, layer: str) -> list[Any]:
    """The row of an untrained copy: its name, images, shares changed by replicate padding and by noise; or nothing."""
    from cnnaudit.models.untrained import untrained_twin
    from cnnaudit.checks.padding._flips import noise_predictions, replicate_predictions

    model = untrained_twin(target.model, images.to(target.device), seed=trial.seed)
    if model is None:
        return []
    logits = replace(target, model=model, _cache={}).logits
    before = logits(images).argmax(1)
    after = replicate_predictions(logits, images, model)
    noisy = noise_predictions(logits, images, model, layer, trial.torch_generator("noise"))
    return ["untrained copy", len(images), *(float((p != before).double().mean()) for p in (after, noisy))]


def _by(size: tuple[int, int]) -> str:
    """225 x 225."""
    return f"{size[0]} x {size[1]}"
