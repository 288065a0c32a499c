"""One look through a whole split: what is kept of each image is a thumbnail and a fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnaudit.core.progress import progress

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget

SIDE = 32
_CHUNK = 8_000_000  # pixel values read at once, 32 MB


@dataclass(frozen=True, eq=False)
class Scan:
    """A split, small enough to be held whole.

    Attributes:
        indices: positions in the split, ascending, int64 (n,).
        labels: int64 (n,).
        thumbnails: uint8 (n, C, h, w), each image averaged down to sides of at most 32.
        fingerprints: hashes as bytes (n,), equal where the 8-bit pixels are.
        share: n over the size of the split; below 1 where the profile does not allow to read all of it.
    """

    indices: np.ndarray
    labels: np.ndarray
    thumbnails: np.ndarray
    fingerprints: np.ndarray
    share: float


def subsample(seen: Scan, most: int) -> Scan:
    """At most that many images of a scan, evenly spaced, so about each class's share of them."""
    if len(seen.labels) <= most:
        return seen
    rows = np.argsort(seen.labels, kind="stable")[np.linspace(0, len(seen.labels) - 1, most).astype(int)]
    share = seen.share * most / len(seen.labels)
    return Scan(seen.indices[rows], seen.labels[rows], seen.thumbnails[rows], seen.fingerprints[rows], share)


def scan(target: AuditTarget, split: str, megapixels: int | None, seed: int = 0) -> Scan:
    """Read a split once and keep thumbnails; a stratified sample of it where it has more than that many megapixels.

    A pixel is counted as the model sees it: 500 megapixels are about 10,000 images of 224 x 224. The answer is kept as
    long as the target, so that all checks of a run share it.
    """
    return target.remember(("scan", split, megapixels, seed), lambda: _read(target, split, megapixels, seed))


def _read(target: AuditTarget, split: str, megapixels: int | None, seed: int) -> Scan:
    """The scan itself, chunk by chunk."""
    source = target.split(split)
    pixels = target.input.size[0] * target.input.size[1]
    limit = None if megapixels is None else max(1, megapixels * 1_000_000 // pixels)
    indices = target.draw(split, limit, seed)
    size = max(1, _CHUNK // (pixels * target.input.channels))
    starts = range(0, len(indices), size)
    thumbnails, fingerprints = [], []
    for start in progress(starts, f"looking through {split}"):
        images = source.read(indices[start : start + size])
        thumbnails.append(shrink(images))
        fingerprints.append(fingerprint(images))
    return Scan(
        indices=indices,
        labels=np.asarray(source.labels)[indices],
        thumbnails=np.concatenate(thumbnails) if thumbnails else np.empty((0, target.input.channels, 1, 1), np.uint8),
        fingerprints=np.concatenate(fingerprints) if fingerprints else np.empty(0, "S32"),
        share=len(indices) / max(len(source.labels), 1),
    )


def shrink(images: torch.Tensor) -> np.ndarray:
    """Thumbnails, uint8 (n, C, h, w), of images (n, C, H, W) in [0, 1].

    Example:
        >>> import torch
        >>> shrink(torch.zeros(2, 1, 64, 24)).shape
        (2, 1, 32, 24)
    """
    import torch
    from torch.nn import functional

    sides = (min(SIDE, images.shape[2]), min(SIDE, images.shape[3]))
    small = functional.adaptive_avg_pool2d(images.float(), sides)
    found: np.ndarray = (small * 255).round().to(torch.uint8).numpy()
    return found


def fingerprint(images: torch.Tensor) -> np.ndarray:
    """A hash of each image's 8-bit pixels: 32 hexadecimal characters as bytes (n,).

    Example:
        >>> import torch
        >>> prints = fingerprint(torch.zeros(2, 1, 4, 4))
        >>> bool(prints[0] == prints[1])
        True
    """
    import torch

    exact = (images * 255).round().to(torch.uint8).numpy()
    return np.array([hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in exact], dtype="S32")
