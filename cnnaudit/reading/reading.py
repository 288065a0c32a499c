"""Everything there is to read in a model with few features, measured on its target's images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from cnnaudit.activation import feature_maps
from cnnaudit.activation.layers import first_response
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.progress import progress
from cnnaudit.core.statistics import bootstrap_interval, derive_seed, generator, permutation_p_value
from cnnaudit.embedding.agreement import adjusted_rand, adjusted_rand_within
from cnnaudit.embedding.clusters import cluster, comparable
from cnnaudit.embedding.elbow import Elbow, elbow
from cnnaudit.interventions import Call, calls
from cnnaudit.interventions.batches import fill_batch, in_batches
from cnnaudit.interventions.inputs import input_of
from cnnaudit.reading.boxplots import boxes
from cnnaudit.reading.classifiers import other_learners
from cnnaudit.reading.components import principal_components, separation
from cnnaudit.reading.features import Place, feature_names, few_features, read_features
from cnnaudit.reading.first_filters import first_filters
from cnnaudit.reading.hand_made import hand_made
from cnnaudit.reading.pixels import maximum_pixels
from cnnaudit.reading.polarity import two_backgrounds, white_background
from cnnaudit.reading.results import Accuracy, Clusters, Images, Reading
from cnnaudit.reading.trees import grow
from cnnaudit.target import AuditTarget

T = TypeVar("T")

IMAGES = 3_000
_VALUES = 60_000_000  # pixels held at once
_RESAMPLES = 500


def read(target: AuditTarget, layer: str | None = None, seed: int = 0) -> Reading:
    """Read a model with few features: see `cnnaudit.reading`.

    Args:
        target: its validation images are looked at (its training images where it has no others), at most 3,000.
        layer: whose output to take for features; None: what the first linear layer with few inputs reads.

    Raises:
        UnsupportedError: the model hides its calls, or has too many features.
        LayerError: it has no such layer.
        DataError, ModelError: the images cannot be read, the model's answers are no logits.
    """
    if not target.inside:
        raise UnsupportedError(target.inside_reason or "the model's inside cannot be observed")
    shape = (target.input.channels, *target.input.size)
    most = int(np.clip(_VALUES // int(np.prod(shape)), 100, IMAGES))
    observed = calls(target.model, _first(target))
    place = few_features(observed, layer)  # refused before the images are read
    images = _images(target, most, seed)
    values = read_features(target.model, images.pixels, place, device=target.device)
    parts = _parts(target, images, observed, place, values, derive_seed(seed, target.name, "reading") % 2**31)
    found: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name, part in progress(list(parts.items()), f"reading {target.name}"):
        try:
            found[name] = part()
        except UnsupportedError as reason:
            found[name], reasons[name] = None, str(reason)
    convolution, filters = found.pop("filters") or ("", [])
    splits = [split for split in ("train", "validation") if split in target.splits]
    return Reading(
        name=target.name,
        parameters=sum(parameter.numel() for parameter in target.model.parameters()),
        layers=_layers(target.model, observed),
        accuracies=[_accuracy(target, split, most, seed) for split in splits],
        images=images,
        place=place,
        features=values,
        names=feature_names(place),
        boxes=boxes(values, images.labels, len(target.classes)),
        components=principal_components(values),
        convolution=convolution,
        filters=filters,
        typical=_typical(values, images),
        reasons=reasons,
        **found,
    )


def _parts(
    target: AuditTarget, images: Images, observed: Sequence[Call], place: Place, values: np.ndarray, seed: int
) -> dict[str, Callable[[], Any]]:
    """What takes a while or may not be possible, by the name of its field."""
    model, device, classes = target.model, target.device, len(target.classes)
    by_hand = hand_made(images.pixels)
    columns = np.stack(list(by_hand.values()), axis=1)
    shape = tuple(images.pixels.shape[1:])
    return {
        "tree": partial(grow, values, images.labels, feature_names(place), classes, seed),
        "hand_made": partial(grow, columns, images.labels, list(by_hand), classes, seed),
        "auc": partial(_auc, values, images, seed),
        "clusters": partial(_clusters, values, images, seed),
        "elbow": partial(_elbow, values, seed, 1_500),
        "elbow_again": lambda: [_elbow(values, seed + k, min(500, len(values) // 2)) for k in range(1, 4)],
        "pixels": partial(maximum_pixels, model, images.pixels, place, device=device),
        "filters": partial(first_filters, model, shape, observed, device),
        "learners": partial(other_learners, values, images.labels, images.answers, seed),
        "maps": partial(_maps, target, place, images.pixels[_typical(values, images)]),
    }


def _split(target: AuditTarget) -> str:
    """The images that are looked at: the network has not seen them, where there are such."""
    return "validation" if "validation" in target.splits else "train"


def _first(target: AuditTarget) -> torch.Tensor:
    """One image, or a batch of it where the model takes nothing else."""
    image = target.split(_split(target)).read(np.zeros(1, np.int64))
    return fill_batch(image, getattr(target.model, "batch", None)).to(target.device)


def _images(target: AuditTarget, most: int, seed: int) -> Images:
    """The sample that is looked at."""
    split = _split(target)
    pixels, labels = target.sample(split, most, seed)
    answers = target.predictions(split, most, seed).argmax(1).numpy()
    rows = target.draw(split, most, seed)
    metadata = {name: column[rows] for name, column in target.split(split).metadata.items()}
    white = white_background(pixels, metadata)
    return Images(split, pixels, labels.numpy(), answers, white, two_backgrounds(white), target.classes)


def _accuracy(target: AuditTarget, split: str, most: int, seed: int) -> Accuracy:
    """The network's accuracy on a sample of a split."""
    labels = target.sample(split, most, seed)[1]
    right = int((target.predictions(split, most, seed).argmax(1) == labels).sum())
    return Accuracy(split, right, len(labels))


def _layers(model: torch.nn.Module, observed: Sequence[Call]) -> list[tuple[str, str, tuple[int, ...], int]]:
    """Name, kind, output and parameters of each call; parameters belong to the module of that name."""
    modules = dict(model.named_modules())
    sizes = {name: sum(p.numel() for p in module.parameters(recurse=False)) for name, module in modules.items()}
    return [(call.name, call.kind, call.output_shape[1:], sizes.get(call.name, 0)) for call in observed]


def _auc(values: np.ndarray, images: Images, seed: int) -> tuple[float, float, float]:
    """How well the first component tells white from black backgrounds, with a bootstrap interval over images."""
    if not images.both:
        raise UnsupportedError("all images have about the same background")
    first = principal_components(values).scores[:, 0]
    rows = np.stack([first, images.white], axis=1)
    low, high = bootstrap_interval(
        rows,
        lambda drawn: separation(drawn[:, 0], drawn[:, 1] > 0),
        rng=generator(seed, "auc"),
        resamples=_RESAMPLES,
        bounds=(0.5, 1.0),
    )
    return separation(first, images.white), low, high


def _elbow(values: np.ndarray, seed: int, most: int) -> Elbow:
    """The elbow rules, on a sample of the images."""
    points = comparable(values)
    rows = np.random.default_rng(seed).permutation(len(points))[:most]
    return elbow(points[rows], seed)


def _clusters(values: np.ndarray, images: Images, seed: int) -> Clusters:
    """As many clusters as groups of images."""
    points = comparable(values)
    if not (points.std(axis=0) > 0).any():
        raise UnsupportedError("every image has the same features, so there is nothing to cluster")
    found = cluster(points, len(np.unique(images.groups)), seed)
    white = images.white.astype(np.int64) if images.both else np.zeros(len(points), np.int64)
    rows = np.stack([white, images.labels, found.labels], axis=1)
    within = adjusted_rand_within(*rows.T)
    interval = bootstrap_interval(
        rows,
        lambda drawn: adjusted_rand_within(*drawn.T),
        rng=generator(seed, "clusters"),
        resamples=_RESAMPLES,
        bounds=(-1.0, 1.0),
    )
    null = [adjusted_rand_within(white, labels, found.labels) for labels in _permuted(white, images.labels, seed)]
    flat = images.pixels.flatten(1).double()
    members = torch.eye(len(found.centers), dtype=flat.dtype)[torch.from_numpy(found.labels)]
    means = (members.T @ flat / members.sum(0)[:, None]).reshape(-1, *images.pixels.shape[1:])
    return Clusters(
        found,
        points,
        by_class=adjusted_rand(images.labels, found.labels),
        by_group=adjusted_rand(images.groups, found.labels),
        within=within,
        interval=interval,
        p_value=permutation_p_value(within, np.array(null)),
        means=means.float().numpy(),
    )


def _permuted(white: np.ndarray, labels: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Labels permuted within each background."""
    rng = generator(seed, "permutations")
    for _ in range(_RESAMPLES):
        shuffled = labels.copy()
        for part in (np.flatnonzero(white == name) for name in np.unique(white)):
            shuffled[part] = labels[rng.permutation(part)]
        yield shuffled


def _typical(values: np.ndarray, images: Images) -> list[int]:
    """Per group, the image that is nearest to the group's mean features."""
    chosen = []
    for group in images.examples:
        rows = np.flatnonzero(images.groups == group)
        distance = ((values[rows] - values[rows].mean(axis=0)) ** 2).sum(axis=1)
        chosen.append(int(rows[distance.argmin()]))
    return chosen


def _maps(target: AuditTarget, place: Place, typical: torch.Tensor) -> np.ndarray:
    """The maps of the typical images: those that are pooled into features, else those of the first convolution."""
    if place.pooling is None:
        layer = first_response(target.model, typical.to(target.device))
        return feature_maps(target.model, typical.to(target.device), [layer])[layer].float().cpu().numpy()
    layer = place.pooling.name

    def pooled(batch: torch.Tensor) -> torch.Tensor:
        return input_of(target.model, batch.to(target.device), layer).to("cpu", torch.float32)

    with torch.no_grad():
        return in_batches(pooled, typical, bound=getattr(target.model, "batch", None)).numpy()
