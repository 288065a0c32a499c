"""What the model says of each image of a run's sample, as a section of its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core import evidence

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget, InputSpec

MOST_IMAGES = 10_000
STRIP = 4
MISTAKES = 8
LONGEST_NAME = 200
LONGER_SIDE = 112


def predictions(target: AuditTarget, images: int | None, seed: int) -> dict[str, Any]:
    """The section `predictions` of a report: a column per fact, an entry per image of the sample.

    Args:
        images: of the profile's sample; the logits are those that the checks share. Of more than 10,000, so many are
            kept, evenly spaced.

    Returns:
        `split` and `of` (its images); `names`, `fingerprints` (of the pixels that the model takes), `labels`, `top1`
        (positions in the classes) and `confidence` (of the top-1, in [0, 1]); `pixels` and `normalized`, each the
        smallest and the largest value of the images; `strip`, a few images of different classes, and `pictures` of
        these and of the most confident mistakes.

    Raises:
        AuditError: an image cannot be read, or the model fails.
    """
    from cnnaudit.checks.scan import fingerprint

    split = sample_split(target)
    pixels, labels = target.sample(split, images, seed)
    confidence, top1 = target.predictions(split, images, seed).softmax(1).max(1)
    kept = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), MOST_IMAGES)).round().astype(int))
    pixels, columns = pixels[kept], [column[kept].numpy() for column in (labels, top1, confidence)]
    strip = _strip(columns[0])
    wrong = np.flatnonzero(columns[0] != columns[1])
    mistakes = wrong[np.argsort(-columns[2][wrong], kind="stable")][:MISTAKES]
    places = target.draw(split, images, seed)[kept]
    return {
        "split": split,
        "of": len(target.split(split).labels),
        "names": [target.split(split).name(int(place))[-LONGEST_NAME:] for place in places],
        "fingerprints": [mark.decode()[:16] for mark in fingerprint(pixels)],
        "labels": columns[0].tolist(),
        "top1": columns[1].tolist(),
        "confidence": [round(float(value), 4) for value in columns[2]],
        "pixels": _range(pixels, pixels),
        "normalized": _normalized(pixels, target.input),
        "strip": strip,
        "pictures": [
            {"image": int(place), "png": _picture(pixels[place])} for place in sorted({*strip, *mistakes.tolist()})
        ],
    }


def sample_split(target: AuditTarget) -> str:
    """The split whose predictions a report holds: validation, where the target has it."""
    return "validation" if "validation" in target.splits else next(iter(target.splits), "validation")


def _strip(labels: np.ndarray) -> list[int]:
    """Positions of a few images: the first of each class, classes evenly spaced; more of them where classes are few."""
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    turns = [int(found[turn]) for turn in range(STRIP) for found in members if turn < len(found)]
    first = turns[: max(len(members), STRIP)]
    return [first[k] for k in np.unique(np.linspace(0, len(first) - 1, min(STRIP, len(first))).round().astype(int))]


def _normalized(pixels: torch.Tensor, spec: InputSpec) -> list[float]:
    """The smallest and the largest value that the network gets: `(order(pixels) * scale - mean) / std`."""
    import torch

    flat = pixels.flip(1) if spec.order == "BGR" else pixels
    low, high = flat.amin((0, 2, 3)), flat.amax((0, 2, 3))
    mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
    return _range((low * spec.scale - mean) / std, (high * spec.scale - mean) / std)


def _range(low: torch.Tensor, high: torch.Tensor) -> list[float]:
    return [float(f"{float(low.min()):.4g}"), float(f"{float(high.max()):.4g}")]


def _picture(pixels: torch.Tensor) -> str:
    """An image (C, H, W) in [0, 1] as a small PNG in base64."""
    return evidence.png(pixels.numpy(), LONGER_SIDE)
