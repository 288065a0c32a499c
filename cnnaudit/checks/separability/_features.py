"""The layers that the checks of separability read, and their values on the sample's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    from cnnaudit.checks import CheckContext

AMONG = 300  # images, at most: a map of so many takes about a second
BETWEEN = 3  # layers between the first and the last that are shown
_KINDS = ("relu", "max_pool2d", "avg_pool2d", "linear", "conv2d")


def profile_layers(context: CheckContext) -> list[str]:
    """The first activation, up to three layers in equal steps, and the layer that the last linear one reads.

    Raises:
        UnsupportedError: the model has no such layers, or both are the same one.
    """
    from cnnaudit.activation.layers import first_response
    from cnnaudit.interventions import calls
    from cnnaudit.reading.features import last_features

    target = context.target
    image = context.sample("validation")[0][:1].to(target.device)
    observed = calls(target.model, image)
    first, last = first_response(target.model, image), last_features(observed, len(target.classes)).layer
    names = [call.name for call in observed]
    start, end = names.index(first), names.index(last)
    size = int(np.prod(observed[end].input_shape[1:]))
    before = [k for k in range(start, end) if int(np.prod(observed[k].output_shape[1:])) == size]
    end = before[-1] if before else end - 1
    if end <= start:
        raise UnsupportedError(f"the classifier reads {names[start]} itself, so there is no depth to compare")
    inner = [k for k in range(start + 1, end) if observed[k].kind in _KINDS and not names[k].startswith("/")]
    steps = np.linspace(0, max(len(inner) - 1, 0), min(BETWEEN, len(inner))).round().astype(int).tolist()
    return [names[k] for k in (start, *dict.fromkeys(inner[j] for j in steps), end)]


def sampled(context: CheckContext) -> tuple[np.ndarray, np.ndarray]:
    """Places in the sample of at most 300 images, the same share of each class, and their labels.

    Raises:
        UnsupportedError: the images are of one class.
    """
    labels = context.sample("validation")[1].numpy()
    rows = np.arange(len(labels))
    if len(labels) > AMONG:
        order = np.argsort(labels, kind="stable")
        rows = np.sort(order[np.linspace(0, len(labels) - 1, AMONG).round().astype(int)])
    if len(np.unique(labels[rows])) < 2:
        raise UnsupportedError(f"all {len(rows)} images are of one class, so there is nothing to separate")
    return rows, labels[rows]


def profile_values(context: CheckContext) -> dict[str, np.ndarray]:
    """What each of those layers answers to those images, on at most 50 principal components; computed once a run."""
    return context.remember("separability values", lambda: _values(context))


def _values(context: CheckContext) -> dict[str, np.ndarray]:
    from cnnaudit.embedding.layer_values import layer_values
    from cnnaudit.embedding.maps import reduced

    target = context.target
    images = context.sample("validation")[0][sampled(context)[0]]
    found = layer_values(
        target.model, images, profile_layers(context), batch_size=target.batch_size, device=target.device
    )
    return {
        layer: reduced(values) if np.ptp(values, axis=0).any() else values[:, :1] for layer, values in found.items()
    }
