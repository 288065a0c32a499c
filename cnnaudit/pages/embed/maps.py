"""The maps of a page: each layer by each method at each moment of the training, and how far they can be trusted."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.embedding.maps import Method, embed, reduced

if TYPE_CHECKING:
    import pandas
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

MOST = 20_000  # images
NEIGHBORS = 8  # shown of an image
JUDGED = 1_000  # images that the trust in a map is measured on, at most
NOW = "now"  # the only moment, where there are no checkpoints


@dataclass(frozen=True)
class Options:
    """What `embed` is asked for; the names are those of the command's options."""

    layers: tuple[str, ...] = ()
    methods: tuple[Method, ...] = ("tsne", "umap", "pca")
    images: int = 2_000
    perplexity: float = 30.0
    iterations: int = 1_000
    checkpoints: tuple[Path, ...] = ()
    seed: int = 0


@dataclass(frozen=True, eq=False)
class LayerMap:
    """A layer by a method, at each moment of the training.

    Attributes:
        points: (n, 2) per moment, each turned to lie on the one before.
        trust: trustworthiness of each, on at most 1,000 of the images.
    """

    layer: str
    method: Method
    points: tuple[np.ndarray, ...]
    trust: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Maps:
    """All that a page shows.

    Attributes:
        split, indices: where the images are from, (n,).
        labels: (n,); `predicted`: per moment, (n,).
        moments: names of the checkpoints, in the order of the training.
        maps: of each layer and method.
        neighbors: by layer, per moment, the nearest images by the layer's own values, (n, 8).
        purity: by layer, per moment, the share of those that are of the same class.
    """

    split: str
    indices: np.ndarray
    classes: tuple[str, ...]
    labels: np.ndarray
    predicted: tuple[np.ndarray, ...]
    moments: tuple[str, ...]
    maps: tuple[LayerMap, ...]
    neighbors: Mapping[str, tuple[np.ndarray, ...]]
    purity: Mapping[str, tuple[float, ...]]

    @property
    def layers(self) -> tuple[str, ...]:
        """In the order asked for."""
        return tuple(self.neighbors)

    def to_frame(self) -> pandas.DataFrame:
        """One row per image, moment, layer and method: its place, class and prediction."""
        import pandas

        parts = [
            pandas.DataFrame(
                {
                    "image": [f"{self.split}[{index}]" for index in self.indices],
                    "moment": name,
                    "layer": one.layer,
                    "method": one.method,
                    "x": one.points[k][:, 0],
                    "y": one.points[k][:, 1],
                    "class": [self.classes[label] for label in self.labels],
                    "predicted": [self.classes[label] for label in self.predicted[k]],
                }
            )
            for one in self.maps
            for k, name in enumerate(self.moments)
        ]
        return pandas.concat(parts, ignore_index=True)


def maps_of(target: AuditTarget, options: Options) -> tuple[Maps, torch.Tensor]:
    """The maps of a target's layers, and the images (n, C, H, W).

    Raises:
        LayerError: the model has no such layer; near names are told.
        UnsupportedError: a layer answers no numbers, or the same to all images; the model hides its calls.
        DataError: fewer images than the perplexity needs, or more than 20,000.
        ModelError: a checkpoint is not of this model.
    """
    from cnnaudit.core.progress import progress
    from cnnaudit.embedding.layer_values import layer_values

    if not target.inside:
        raise UnsupportedError(target.inside_reason or "the model's inside cannot be observed")
    split = "validation" if "validation" in target.splits or not target.splits else "train"
    indices = target.draw(split, options.images, options.seed)
    _require(len(indices), split, options)
    images, labels = target.sample(split, options.images, options.seed)
    layers = options.layers or _first_and_last(target, images[:1])
    models = _models(target, options.checkpoints)
    points: dict[tuple[str, Method], list[np.ndarray]] = {(a, m): [] for a in layers for m in options.methods}
    trust: dict[tuple[str, Method], list[float]] = {key: [] for key in points}
    neighbors: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    predicted: list[np.ndarray] = []
    steps = [(name, layer) for name in models for layer in layers]
    values: dict[str, np.ndarray] = {}
    for name, layer in progress(steps, f"maps of {target.name}", len(steps)):
        if layer == layers[0]:
            model = models[name]()
            values = layer_values(model, images, layers, batch_size=target.batch_size, device=target.device)
            predicted.append(_predicted(model, images, target))
        _add(values[layer], layer, points, trust, neighbors, options)
    pure = {layer: tuple(_purity(found, labels.numpy()) for found in neighbors[layer]) for layer in layers}
    found = tuple(LayerMap(*key, tuple(points[key]), tuple(trust[key])) for key in points)
    kept = {layer: tuple(neighbors[layer]) for layer in layers}
    moments = tuple(models)
    classes = tuple(target.classes)
    return Maps(split, indices, classes, labels.numpy(), tuple(predicted), moments, found, kept, pure), images


def _add(
    values: np.ndarray,
    layer: str,
    points: dict[tuple[str, Method], list[np.ndarray]],
    trust: dict[tuple[str, Method], list[float]],
    neighbors: dict[str, list[np.ndarray]],
    options: Options,
) -> None:
    """The maps of a layer at one moment, continued from the moment before."""
    from cnnaudit.embedding.separation import nearest
    from cnnaudit.embedding.trust import trustworthiness

    try:
        rows = reduced(values, seed=options.seed)
    except UnsupportedError as error:
        raise UnsupportedError(f"layer {layer!r}: {error}") from error
    neighbors[layer].append(nearest(rows, NEIGHBORS))
    judged = np.random.default_rng(options.seed).permutation(len(rows))[:JUDGED]
    k = min(12, (len(judged) - 1) // 3)
    for method in options.methods:
        before = points[layer, method][-1] if points[layer, method] else None
        found = embed(
            rows,
            method,
            perplexity=options.perplexity,
            iterations=options.iterations,
            start=before,
            seed=options.seed,
        )
        points[layer, method].append(found)
        trust[layer, method].append(
            float(trustworthiness(rows[judged], found[judged], k).mean()) if k else float("nan")
        )


def _require(n: int, split: str, options: Options) -> None:
    """Refuse numbers of images that no map can be made of, before any work."""
    if options.images > MOST:
        raise DataError(f"--images: a page shows {MOST:,} images at most, got {options.images:,}")
    least = max(4, int(options.perplexity) + 1 if "tsne" in options.methods else 4)
    if n < least:
        reason = f"perplexity {options.perplexity:g} needs {least}" if least > 4 else "a map needs 4"
        raise DataError(
            f"data.{split} gives {n} image{'s' * (n != 1)}, {reason}: raise --images, lower --perplexity, or name "
            "more images in the audit file"
        )


def _first_and_last(target: AuditTarget, image: torch.Tensor) -> tuple[str, ...]:
    """The activation after the first convolution, and what the classifier proper reads."""
    from cnnaudit.activation.layers import first_response
    from cnnaudit.interventions import calls
    from cnnaudit.reading.features import last_features

    image = image.to(target.device)
    observed = calls(target.model, image)
    last = next(k for k, call in enumerate(observed) if call.name == last_features(observed, len(target.classes)).layer)
    size = int(np.prod(observed[last].input_shape[1:]))
    before = [call.name for call in observed[:last] if int(np.prod(call.output_shape[1:])) == size]
    first = first_response(target.model, image)
    return tuple(dict.fromkeys((first, before[-1] if before else observed[last].name)))


def _models(target: AuditTarget, files: Sequence[Path]) -> dict[str, Callable[[], nn.Module]]:
    """What makes the model of each moment, when it is its turn."""
    if not files:
        return {NOW: lambda: target.model}
    differ = len({path.stem for path in files}) == len(files)
    return {path.stem if differ else str(path): partial(_with_weights, target.model, path) for path in files}


def _with_weights(model: nn.Module, path: Path) -> nn.Module:
    """A copy of the model with the weights of a checkpoint."""
    from cnnaudit.target.weights import load_weights

    changed = copy.deepcopy(model)
    load_weights(changed, path)
    return changed


def _predicted(model: nn.Module, images: torch.Tensor, target: AuditTarget) -> np.ndarray:
    """The predicted class of each image, (n,)."""
    return np.asarray(replace(target, model=model, _cache={}).logits(images).argmax(1).numpy())


def _purity(found: np.ndarray, labels: np.ndarray) -> float:
    return float((labels[found] == labels[:, None]).mean())
