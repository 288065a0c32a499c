"""What images look like to a simple learner: the model's own features, and random filters that know no label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    import torch

    from cnnaudit.checks import CheckContext
    from cnnaudit.target import AuditTarget

MOST = 2_000  # images of a split: a kernel of two splits takes 128 MB
LARGE = 128 * 128  # pixels of an image


def affordable(context: CheckContext) -> int:
    """Images of a split to look at: half of the profile's where they are large, twice as many where they are small."""
    images, (height, width) = context.profile.images or MOST, context.target.input.size
    return min(MOST, images // 2 if height * width > LARGE else 2 * images)


def looks(target: AuditTarget, images: torch.Tensor) -> list[np.ndarray]:
    """Features of images (n, C, H, W), each (n, d): random filters, and the input of the model's last linear layer.

    Only random filters where the model is a black box or has no such layer.

    Raises:
        UnsupportedError: the images are smaller than the filters.
    """
    from cnnaudit.checks.random_filters import filter_features
    from cnnaudit.checks.scan import shrink
    from cnnaudit.core.memory import CPU_BATCH_PIXELS
    from cnnaudit.interventions import calls
    from cnnaudit.reading.features import last_features, read_features

    found = [filter_features(shrink(images)).astype(float)]
    if not target.inside:
        return found
    size = target.batch_size
    if target.device == "cpu":
        size = max(1, min(size, CPU_BATCH_PIXELS // (images.shape[2] * images.shape[3])))
    try:
        place = last_features(calls(target.model, images[:1].to(target.device)), len(target.classes))
        features = read_features(target.model, images, place, batch_size=size, device=target.device)
    except UnsupportedError:
        return found
    if not np.isfinite(features).all():
        raise UnsupportedError("the model's features hold NaN or infinity, so that nothing can be read from them")
    return [*found, features]


def kernel(features: list[np.ndarray], split: np.ndarray) -> np.ndarray:
    """Similarity of images, (n, n) in [0, 1]: exp(-|x - y|^2 / median |x - y|^2), averaged over kinds of features.

    Args:
        features: of each kind (n, d).
        split: which split each image is of, (n,). Features are standardized within a split: a network's features are
            larger on the images that it was trained on.
    """
    from sklearn.metrics.pairwise import euclidean_distances

    total = np.zeros((len(split), len(split)))
    for kind in features:
        squared = euclidean_distances(_standardized(kind, split), squared=True)
        typical = float(np.median(squared))
        total += np.exp(-squared / (typical or 1.0))
    return total / len(features)


def _standardized(features: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and deviation 1 within each split; 0 where it does not vary."""
    standard = np.zeros(features.shape)
    for part in np.unique(split):
        own = features[split == part]
        spread = own.std(axis=0)
        standard[split == part] = np.where(spread > 1e-6, (own - own.mean(axis=0)) / np.maximum(spread, 1e-6), 0)
    return standard
