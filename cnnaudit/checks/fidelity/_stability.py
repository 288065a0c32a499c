"""Does LIME say the same about an image when it draws other samples?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cnnaudit.checks.fidelity._evaluation_set import Subject
from cnnaudit.checks.fidelity._pointing_game import placed, spill
from cnnaudit.checks.fidelity._saliency import rank_similarity
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.core.progress import progress


def agreement(weights: Sequence[np.ndarray]) -> float:
    """The mean rank correlation of one image's superpixel weights between two seeds, over all pairs of seeds.

    Args:
        weights: for each seed (S,), the weight of each superpixel; the segments are the same for all seeds.

    Example:
        >>> agreement([np.array([0.1, 0.5, 0.2]), np.array([1.0, 5.0, 2.0])])
        1.0
    """
    rows = np.stack(weights)
    first, second = np.triu_indices(len(rows), 1)
    return float(rank_similarity(rows[first], rows[second]).mean())


def segmentation_for(images: torch.Tensor) -> str:
    """`quickshift`, which photographs are cut by; in images of less than 64 pixels it sees one segment: `slic`."""
    return "quickshift" if min(images.shape[2:]) >= 64 else "slic"


@dataclass(frozen=True, slots=True)
class LimeStability:
    """What LIME says of some images, asked with two seeds.

    Attributes:
        agreement: (N,), rank correlation of the superpixels' weights between the seeds.
        fit: (N,), weighted R^2 of the local linear fit.
        segments: (N,), how many superpixels.
        spill: (M,), how strong the weights are outside the content of images whose content was moved.
        samples: masked images for each explanation.
    """

    agreement: np.ndarray
    fit: np.ndarray
    segments: np.ndarray
    spill: np.ndarray
    samples: int


def lime_stability(subject: Subject, images: int, samples: int, rng: np.random.Generator, seed: int) -> LimeStability:
    """LIME of the predicted class of the first `images` images, and once of their contents at random places.

    Raises:
        UnsupportedError: `lime` is not installed, or fewer than two images have more than one superpixel.
    """
    from cnnaudit.attribution._lime import lime_explanation

    model = subject.target.model
    settings: dict[str, Any] = {"samples": samples, "segmentation": segmentation_for(subject.images)}
    seed %= 2**31
    found, skipped = [], ""
    for index in progress(range(images), "LIME", images):
        image, label = subject.images[index], int(subject.classes[index])
        try:
            pair = [lime_explanation(model, image, label, seed=seed + k, **settings) for k in (0, 1)]
        except UnsupportedError as reason:
            skipped = str(reason)
            continue
        found.append((agreement([one.weights[0] for one in pair]), pair[0].fit[0], pair[0].weights.shape[1]))
    if len(found) < 2:
        raise UnsupportedError(skipped or "needs at least 2 images")
    moved = placed(subject.images[:images].cpu(), rng)
    shares = []
    for image, box in zip(moved.images.to(subject.images.device), moved.boxes):
        try:
            plane = lime_explanation(model, image, seed=seed, **settings).pixels()
        except UnsupportedError:
            continue
        shares.append(float(spill(torch.from_numpy(np.abs(plane))[None], [box])[0]))
    columns = [np.array(column, dtype=float) for column in zip(*found)]
    return LimeStability(columns[0], columns[1], columns[2], np.array(shares), samples)
