"""May the pictures of what a network looks at be believed?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core import evidence
from cnnaudit.checks.registry import Trial, check
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.findings import Finding, Location
from cnnaudit.core.statistics import bootstrap_interval, derive_seed, generator

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks.fidelity._effort import Effort
    from cnnaudit.checks.fidelity._randomization import Randomization
    from cnnaudit.checks.fidelity._evaluation_set import Subject
    from cnnaudit.target import AuditTarget

_ADEBAYO = "Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018 (arXiv 1810.03292)"
_LEAST = 8  # images that a judgement needs
_EXACT = 1e-3


@check(
    "fidelity.integrity",
    question="Do the methods that look inside leave the model as it was, and does every ReLU follow their rule?",
    statistic="promises that do not hold",
    unit="promises",
    direction="at_most",
    tolerance=0,
    gate=True,
    remedy="Write every ReLU as nn.ReLU, F.relu or clamp(min=0), so that its backward rule can be replaced, and change "
    "no buffer in the forward pass of a model in eval() mode; until then believe none of the pictures named here.",
    reference="What hooks on modules miss: pytorch/captum issues 1082 and 973",
    needs=("validation", "inside"),
    exact=True,
)
def check_integrity(target: AuditTarget, trial: Trial) -> Finding:
    """Broken promises: the model's state and logits before and after each method, and the reach of the ReLU rules.

    Counted are (1) what a plain forward pass changes in the model; (2) for the rules `deconvnet` and `guided`, every
    call whose answer is the ReLU of its input without following the rule (found by its values, so that `x * (x > 0)` is
    too), and logits inside the rule that are not bit-identical; (3) for each method, parameters, buffers, `.grad`,
    `requires_grad`, modes, hooks, the global random state, the images or the logits afterwards that are not what they
    were, bit by bit; (4) guided backpropagation equal to the gradient although a negative gradient met an active ReLU.
    All on 2 images; methods whose cost exceeds the profile are left out. The tolerance is 0: it is arithmetic.
    """
    from cnnaudit.checks.fidelity._effort import affordable
    from cnnaudit.checks.fidelity._integrity import integrity

    subject, spec = _subject(trial), target.input
    counts, refused = affordable(_attributions(), _effort(trial), spec.channels, spec.size)
    found = integrity(target.model, subject.images[:2], subject.classes[:2], {n: _compute(trial, n) for n in counts})
    broken, count = found.broken, len(found.broken)
    faulty = {item.who for item in broken}
    rows = [[item.who, item.promise, item.layer or None] for item in broken]
    answers = [*([name, "broken" if name in faulty else "holds"] for name in found.asked)]
    answers += [[name, reason] for name, reason in {**refused, **found.refused}.items()]
    summary = (
        f"{count} promise{'s do' if count > 1 else ' does'} not hold; the first: {broken[0].who}"
        f"{f' at {broken[0].layer}' if broken[0].layer else ''}, {broken[0].promise}."
        if broken
        else f"The model and its logits stay as they are, bit by bit, through {len(found.asked) - 1} methods and "
        "rules, and every ReLU follows its rule."
    )
    return trial.judge(
        count,
        (count, count),
        n=len(found.asked),
        n_unit="methods and rules",
        summary=summary,
        locations=[Location(1, layer=item.layer) for item in broken if item.layer],
        evidence=[
            *([evidence.table("What does not hold", ["who", "promise", "layer"], rows)] if rows else []),
            evidence.table("Methods and rules", ["asked", "answer"], answers),
        ],
    )


@check(
    "fidelity.deconvnet",
    question="Is the deconvnet's picture what its paper defines, and does it stand where the unit looks?",
    statistic="energy of the picture that lies where it should not",
    unit="share of the energy",
    direction="at_most",
    tolerance=0.3,
    gate=False,
    remedy="Do not read the deconvnet's pictures of this model as a place in the image; use occlusion or Grad-CAM to "
    "find where the network looks.",
    reference="Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014 (arXiv 1311.2901)",
    needs=("validation", "inside"),
)
def check_deconvnet(target: AuditTarget, trial: Trial) -> list[Finding]:
    """Energy (squared values, summed over channels) of the deconvnet's picture in the wrong place; two findings.

    `definition`: the largest of |picture - definition|^2 / |definition|^2, against explicit unpooling, rectification
    and transposed convolution (`cnnaudit.checks.fidelity._deconvolution`; chains of modules only), and of the share outside the
    unit's receptive field, for units in the first, middle and last rectified map. Arithmetic: at most .001, room for
    float32 alone.

    `evidence`: contents of images, half as long as the image, are put at random places on their own background; with o
    and i the mean energy outside and inside the content's box, o / (o + i), averaged over the 2 strongest units of the
    last rectified map and over images (bootstrap): 0 where the picture stands over the content alone, .5 where it knows
    nothing of its place. Tolerance: .3 is a picture more than twice as strong over the content as beside it; the 99 %
    point of the clean populations is .10 (CIFAR-10).
    """
    from cnnaudit.checks.fidelity._deconvnet import rectified_maps

    subject = _subject(trial)
    layers = rectified_maps(target.model, subject.images)
    return [_definition(trial.among(2), subject, layers), _evidence(trial.among(2), subject, layers[-1])]


@check(
    "fidelity.randomization",
    question="Does the picture change when the network's weights are random?",
    statistic="share of the map that survives random weights",
    unit="share of rank similarity",
    direction="at_most",
    tolerance=0.5,
    gate=False,
    remedy="Do not read this method's pictures as explanations of this model: they mostly show the image, as an edge "
    "detector does. Use a method that passes, and show the edge detector's picture beside it.",
    reference=f"{_ADEBAYO}; Hedström et al., A fresh look at sanity checks for saliency maps, 2024 (arXiv 2401.06465)",
    needs=("validation",),
)
def check_randomization(target: AuditTarget, trial: Trial) -> list[Finding]:
    """For each method, how much of a map's likeness to itself survives when all weights are drawn anew.

    (s_random - s_other) / (1 - s_other), with s Spearman's rank correlation of saliency maps on a grid of at most
    28 x 28 cells: s_random with the map of the same image in a network of random weights (a new one for each image), so
    that the interval, a bootstrap over images, covers networks too), s_other with maps of other images. 1 for an edge
    detector, 0 for a map that is no more like than another image's.

    Known confounds of the test and what is done about them: the layers from the top down keep what is below, so that
    the verdict rests on all layers (Binder et al. 2023), the upper ones are shown; maps full of noise change whatever
    happens, so that s_itself, with the map of the same image under faint noise, must exceed s_other by .1, else nothing
    is judged (the concern of sMPRT); complexity rises in a random network, and is shown (eMPRT).

    Tolerance: half of the map. The 99 % point of the gradient in trained networks is .10, and the interval of 16
    networks reaches up to .4 beyond.
    """
    from cnnaudit.checks.fidelity._figures import randomization_pictures, randomization_tables
    from cnnaudit.checks.fidelity._randomization import weighted_layers
    from cnnaudit.checks.fidelity._evaluate import randomizations

    if not weighted_layers(target.model):
        raise UnsupportedError("the model has no weights that could be drawn anew")
    subject, maps, refused = _maps(trial)
    networks = _effort(trial).networks
    measured, unsupported = randomizations(subject, maps, networks, trial.torch_generator("networks"))
    judged = _judged(measured)
    part = trial.among(len(judged))
    tables = randomization_tables(measured)
    found = [
        _judge_randomization(
            part,
            name,
            measured[name],
            [*tables(name, name == judged[0]), randomization_pictures(measured[name], subject.grid)],
        )
        for name in judged
    ]
    return [*found, *_refusals(trial, {**refused, **unsupported})]


@check(
    "fidelity.deletion",
    question="Does removing what the picture points at hurt the prediction more than removing anything?",
    statistic="probability removed beyond that by the same map at a random place",
    unit="share of what can be removed",
    direction="at_least",
    tolerance=0.1,
    gate=False,
    remedy="Do not read this method's picture as what the prediction rests on; occlusion measures that directly.",
    reference="Samek et al., Evaluating the visualization of what a deep neural network has learned, 2017 "
    "(arXiv 1509.06321); Petsiuk et al., RISE, 2018 (arXiv 1806.07421)",
    needs=("validation",),
)
def check_deletion(target: AuditTarget, trial: Trial) -> list[Finding]:
    """What deleting the most attributed cells takes away beyond deleting by the same map at a random place; per method.

    Of each image 5, 15 and 40 % of a grid of at most 28 x 28 cells are replaced by the image's own blur, which
    keeps its colors and brightness (black holes would be judged, not the map). The statistic is the sum over images of
    mean over shares of (p after deletion by the map moved - p after that by the map) / sum of (p - p of the blur), p
    being the probability of the predicted class; only images whose class owes .2 of its probability to more than the
    blur. The map itself, turned over the edges to a random place, is the chance level, since cells strewn at random do
    more harm than any hole that hangs together (Grad-CAM on MobileNetV2 would seem worse than chance); for a blank map
    both are strewn at random, and it measures 0.
    Interval: bootstrap over images. The edge detector stands in each table: a method that does no better than it has
    found where things are, not what the network uses. Tolerance: the 1 % point of the gradient in trained networks is
    .23, and the interval of 96 images reaches .12 below: .1.
    """
    from cnnaudit.checks.fidelity._figures import deletion_curves, deletion_tables
    from cnnaudit.checks.fidelity._evaluate import deletions

    subject, maps, refused = _maps(trial)
    detailed = subject.detailed
    if detailed.sum() < _LEAST:
        raise UnsupportedError(
            f"only {detailed.sum()} of {len(detailed)} images are answered differently from their own blur, so that "
            f"there is nothing to delete; {_LEAST} are needed"
        )
    measured = deletions(subject, maps, derive_seed(trial.seed, target.name, "fidelity", "orders"))
    judged = _judged(measured)
    part = trial.among(len(judged))
    intervals = {
        name: _interval(part, len(found.before), found.gain, (-1, 1), name) if len(found.before) >= _LEAST else None
        for name, found in measured.items()
    }
    tables, edges = deletion_tables(measured, intervals), measured["edges"].gain()
    findings = []
    for name in judged:
        found, interval = measured[name], intervals[name]
        if interval is None:
            refused[name] = f"only {len(found.before)} of the images that the profile affords can be judged"
            continue
        finding = part.judge(
            found.gain(),
            interval,
            n=len(found.before),
            part=name,
            summary=f"{_title(name)}: deleting what it points at takes away {_more(found.gain())} of the removable "
            f"probability than deleting the same cells elsewhere; by an edge detector's picture it is {_more(edges)}.",
            evidence=[*tables(name, name == judged[0]), deletion_curves(found, measured["edges"])],
        )
        findings.append(finding)
    return [*findings, *_refusals(trial, refused)]


@check(
    "fidelity.lime",
    question="Does LIME say the same about an image when it draws other samples?",
    statistic="rank correlation of the superpixels' weights between two seeds",
    unit="rank correlation",
    direction="at_least",
    tolerance=0.5,
    gate=False,
    remedy="Draw more samples (`lime(..., samples=5000)`) or use fewer, larger superpixels, until the order of the "
    "superpixels no longer depends on the seed.",
    reference="Ribeiro et al., Why should I trust you?, KDD 2016 (arXiv 1602.04938); marcotcr/lime issues 477 and 767",
    needs=("validation",),
)
def check_lime(target: AuditTarget, trial: Trial) -> Finding:
    """Spearman's rank correlation of LIME's superpixel weights between seeds, averaged over images.

    Beside it, unjudged, the weighted R^2 of the local linear fit, and how much of the weights stands outside the
    content of images whose content was put at a random place (`spill`, .5 where they know nothing of it). Tolerance:
    half; a linear answer measures .89 or more, and one that swings with every detail less than .05.
    """
    from cnnaudit.checks.fidelity._effort import LIME_SAMPLES
    from cnnaudit.checks.fidelity._stability import lime_stability

    subject, effort = _subject(trial), _effort(trial)
    if not effort.lime_images:
        raise UnsupportedError(
            f"{3 * LIME_SAMPLES} passes for each image of this size are more than this profile spends; ask with "
            "--audit-profile deep"
        )
    count, seed = min(effort.lime_images, len(subject.images)), derive_seed(trial.seed, target.name, "lime")
    found = lime_stability(subject, count, LIME_SAMPLES, trial.generator("places"), seed)
    n, mean = len(found.agreement), float(found.agreement.mean())
    names = ("agreement of two seeds", "R^2 of the local fit", "superpixels", "outside the content, .5: anywhere")
    values = (found.agreement, found.fit, found.segments, found.spill)
    rows = [
        [name, len(value), *(float(f"{np.quantile(value, q):.3g}") for q in (0, 0.5, 1))]
        for name, value in zip(names, values)
        if len(value)
    ]
    return trial.judge(
        mean,
        _interval(trial, n, lambda rows: float(found.agreement[rows].mean()), (-1, 1)),
        n=n,
        summary=f"Between two seeds of {found.samples} samples the superpixels' weights have a rank correlation of "
        f"{mean:.2f}; the local linear model explains {found.fit.mean():.0%} of the variance.",
        evidence=[evidence.table("LIME of the images", ["what", "images", "lowest", "median", "highest"], rows)],
    )


def _judge_randomization(trial: Trial, name: str, found: Randomization, shown: list[Mapping[str, Any]]) -> Finding:
    """The finding of one method; refused where its maps are not even like themselves."""
    if not found.judgeable:
        return trial.not_applicable(
            f"the maps of two images are as alike (rank correlation {found.other.mean():.2f}) as those of one image "
            f"with and without faint noise ({found.itself.mean():.2f}): they show nothing of their image that random "
            "weights could take away",
            part=name,
        )
    return trial.judge(
        found.kept(),
        _interval(trial, len(found.random), found.kept, (-np.inf, 1), name),
        n=len(found.random),
        part=name,
        summary=f"{_title(name)}: a map's rank correlation is {found.random.mean():.2f} with that of a random "
        f"network, {found.other.mean():.2f} with those of other images and {found.itself.mean():.2f} with itself under "
        f"faint noise; {max(found.kept(), 0):.0%} of the map survives random weights.",
        evidence=shown,
    )


def _definition(trial: Trial, subject: Subject, layers: list[str]) -> Finding:
    """Whether the pictures are those of the definition, and inside the receptive field."""
    from cnnaudit.checks.fidelity._deconvnet import against_definition, outside_receptive_field
    from cnnaudit.checks.fidelity._figures import difference_table

    model, images = subject.target.model, subject.images[:4]
    middle = sorted({0, len(layers) // 2, len(layers) - 1})
    found = outside_receptive_field(model, images[:1], [layers[i] for i in middle])
    reason = ""
    try:
        found = [*against_definition(model, images, subject.classes[:4]), *found]
    except UnsupportedError as error:
        reason = str(error)
    if not found:
        return trial.not_applicable(reason, part="definition")
    worst = max(found, key=lambda item: item.share)
    compared = f"not compared with the definition: {reason}" if reason else "compared with the definition too"
    return replace(trial, tolerance=min(trial.tolerance, _EXACT)).judge(
        worst.share,
        (worst.share, worst.share),
        n=len(found),
        n_unit="pictures",
        part="definition",
        summary=f"At most {worst.share:.2g} of a picture's energy lies where it should not ({worst.what}"
        f"{f', layer {worst.layer}' if worst.layer else ''}; {compared}).",
        remedy="A layer of the model does not go back as it should, most often a ReLU or a pooling written as "
        "arithmetic: use nn.ReLU and nn.MaxPool2d, and see fidelity.integrity.",
        locations=[Location(item.share, layer=item.layer) for item in found if item.layer],
        evidence=[difference_table(found)],
    )


def _evidence(trial: Trial, subject: Subject, layer: str) -> Finding:
    """Whether the pictures stand over the content, wherever it is."""
    from cnnaudit.checks.fidelity._deconvnet import pictures, strongest_units
    from cnnaudit.checks.fidelity._figures import placed_pictures, placed_table
    from cnnaudit.checks.fidelity._pointing_game import placed, spill

    target = subject.target
    stimuli = placed(subject.images[: max(_LEAST, 3 * len(subject.images) // 5)].cpu(), trial.generator("places"))
    if len(stimuli.images) < _LEAST:
        return trial.not_applicable(
            f"only {len(stimuli.images)} of the images show anything but their background",
            part="evidence",
        )
    images = stimuli.images.to(target.device)
    units = strongest_units(target.model, images, layer)
    maps = pictures(target.model, images, layer, units)
    shares = np.mean([spill(plane, stimuli.boxes) for plane in maps], axis=0)
    classes = target.logits(stimuli.images).argmax(1).to(target.device)
    return trial.judge(
        float(shares.mean()),
        _interval(trial, len(shares), lambda rows: float(shares[rows].mean()), (0, 1), "evidence"),
        n=len(shares),
        part="evidence",
        summary=f"Pictures of the strongest units of layer {layer} are {_ratio(shares.mean())} as strong outside the "
        "image's content as over it, wherever the content stands.",
        locations=[
            Location(float(spill(plane, stimuli.boxes).mean()), layer=layer, unit=u) for u, plane in zip(units, maps)
        ],
        evidence=[
            placed_table(target.model, images, classes, stimuli.boxes, float(shares.mean())),
            placed_pictures(images, maps[0], shares),
        ],
    )


def _more(share: float) -> str:
    """A share of either sign in words."""
    return f"{abs(share):.0%} {'more' if share >= 0 else 'less'}"


def _ratio(share: float) -> str:
    """o / (o + i) as o / i in words."""
    return f"{share / max(1 - share, 1e-9):.2f} times"


def _maps(trial: Trial) -> tuple[Subject, dict[str, torch.Tensor], dict[str, str]]:
    """The subject, each method's maps of it and why others have none; made once for the checks of a run."""
    from cnnaudit.attribution.methods import METHODS
    from cnnaudit.checks.fidelity._effort import affordable
    from cnnaudit.checks.fidelity._evaluate import own_maps

    def make() -> Any:
        spec = trial.target.input
        counts, reasons = affordable(METHODS, _effort(trial), spec.channels, spec.size)
        maps, refused = own_maps(_subject(trial), counts)
        return maps, {**reasons, **refused}

    maps, refused = _kept(trial, "maps", make)
    return _subject(trial), maps, dict(refused)


def _subject(trial: Trial) -> Subject:
    """The images that are looked at, the same for all checks of a run."""
    from cnnaudit.checks.fidelity._evaluation_set import subject_of

    def make() -> Subject:
        images = trial.sample("validation")[0]
        rng = generator(trial.seed, trial.target.name, "fidelity", "images")
        logits = trial.predictions("validation")
        return subject_of(trial.target, images, logits, _effort(trial).images, rng, trial.seed)

    found: Subject = _kept(trial, "subject", make)
    if len(found.images) < 2:
        raise UnsupportedError("needs at least 2 validation images")
    return found


def _kept(trial: Trial, what: str, make: Callable[[], Any]) -> Any:
    """What a run has made once, of this seed and profile."""
    cache, key = trial.target._cache, ("fidelity", what, trial.seed, trial.profile.name)
    if key not in cache:
        cache[key] = make()
    return cache[key]


def _effort(trial: Trial) -> Effort:
    from cnnaudit.checks.fidelity._effort import effort_of

    return effort_of(trial.target.input.size, trial.profile.images)


def _attributions() -> list[str]:
    """The names of all methods that are no baselines."""
    from cnnaudit.attribution.methods import METHODS

    return _judged(METHODS)


def _compute(trial: Trial, name: str) -> Callable[..., torch.Tensor]:
    """A method with a generator of its own."""
    from cnnaudit.checks.fidelity._quiet import quiet

    return lambda model, images, classes: quiet(name, model, images, classes, trial.torch_generator(name))


def _judged(measured: Mapping[str, Any]) -> list[str]:
    """The methods among the measured that are no baselines."""
    from cnnaudit.attribution.methods import METHODS

    return [name for name in measured if not METHODS[name].baseline]


def _title(name: str) -> str:
    from cnnaudit.attribution.methods import METHODS

    return METHODS[name].title


def _refusals(trial: Trial, reasons: Mapping[str, str]) -> list[Finding]:
    """The findings of methods that do not apply."""
    return [trial.not_applicable(reasons[name], part=name) for name in _judged(reasons)]


def _interval(
    trial: Trial, n: int, statistic: Callable[[np.ndarray], float], bounds: tuple[float, float], label: str = ""
) -> tuple[float, float]:
    """The bootstrap over n images of a statistic of their positions."""
    return bootstrap_interval(
        np.arange(n),
        statistic,
        rng=trial.generator("bootstrap", label),
        confidence=trial.confidence,
        resamples=trial.resamples,
        bounds=bounds,
    )
