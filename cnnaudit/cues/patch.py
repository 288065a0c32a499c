"""A small patch that may stand anywhere in the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.excess import excess
from cnnaudit.cues.fill import filled
from cnnaudit.cues.model import Model, Sample
from cnnaudit.cues.protocol import PlacedCue, check_images, check_pair, gray
from cnnaudit.cues.search import (
    PASSES,
    Candidate,
    Halves,
    Prepared,
    Search,
    Trial,
    judged_classes,
    nobody,
    search_classes,
)
from cnnaudit.cues.window import NEAR

#: Side of a patch in pixels.
SIDE = 5
#: The least standard deviation of a patch; weaker ones are plain.
LEAST_CONTRAST = 0.06
#: The fewest pairs of neighbors, of 40, that differ in sign. An edge has 5, a corner fewer than 10, two stripes 10.
FEWEST_TURNS = 12
#: Of 25 signs so many must agree for an image to carry the patch.
AGREEMENT = 23
_BATCH = 128


@dataclass(frozen=True, eq=False)
class Patch:
    """A pattern of 5 x 5 signs, brighter or darker than the patch's mean, at the place where an image shows it best.

    Attributes:
        signs: bool (5, 5).
    """

    signs: Tensor
    name: str = "patch"

    def read(self, images: Tensor) -> Tensor:
        """The pixels of the place that resembles the pattern most, (N, C * 25).

        Raises:
            UnsupportedError: images smaller than the patch.
        """
        check_images(images, self.name)
        return _gather(images, self.places(images)).flatten(1)

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The donors' best place put on the images' best place."""
        check_pair(images, donors, self.name)
        return _put(images, self.places(images), _gather(donors, self.places(donors)))

    def transplant_elsewhere(self, images: Tensor, donors: Tensor) -> Tensor:
        """What the donors show opposite their best place, put on the images' best place."""
        check_pair(images, donors, self.name)
        places = self.places(donors)
        last = torch.tensor([length - SIDE for length in donors.shape[2:]], device=donors.device)
        return _put(images, self.places(images), _gather(donors, torch.where(2 * places > last, 0, last)))

    def erase(self, images: Tensor) -> Tensor:
        """The images with their best place filled from the pixels around it."""
        check_images(images, self.name)
        places = self.places(images)
        around = _gather(functional.pad(images, (1, 1, 1, 1), value=math.nan), places, SIDE + 2)
        return _put(images, places, filled(around))

    def surroundings(self, images: Tensor) -> Tensor:
        """The pixels up to two beyond the best place's sides, .5 beyond the image, (N, F)."""
        check_images(images, self.name)
        padded = functional.pad(images, (NEAR,) * 4, value=0.5)
        area = _gather(padded, self.places(images), SIDE + 2 * NEAR)
        around = torch.ones(area.shape[2:], dtype=torch.bool, device=images.device)
        around[NEAR:-NEAR, NEAR:-NEAR] = False
        return area[:, :, around].flatten(1)

    def carriers(self, images: Tensor) -> Tensor:
        """Which images show at least 23 of the 25 signs at some place: bool (N,)."""
        wanted = torch.where(self.signs, 1.0, -1.0).to(images).flatten()
        found = []
        for batch in torch.split(images, _BATCH):
            signs, busy = _signs(batch)
            agreeing = (torch.where(signs, 1.0, -1.0).to(images.dtype) * wanted[:, None]).sum(dim=1)
            found.append(((agreeing >= 2 * AGREEMENT - SIDE**2) & busy).any(dim=1))
        return torch.cat(found)

    def places(self, images: Tensor) -> Tensor:
        """Row and column of the patch whose correlation with the pattern is largest: int64 (N, 2)."""
        _check_size(images)
        pattern = self.signs.to(images)
        pattern = (pattern - pattern.mean())[None, None]
        plain = gray(images)
        mean, square = functional.avg_pool2d(plain, SIDE, 1), functional.avg_pool2d(plain**2, SIDE, 1)
        deviation = (square - mean**2).clamp_min(0).sqrt()
        likeness = functional.conv2d(plain, pattern) / deviation.clamp_min(LEAST_CONTRAST / 2)
        index = likeness.flatten(1).argmax(dim=1)
        return torch.stack([index // likeness.shape[3], index % likeness.shape[3]], dim=1)


@dataclass(frozen=True, eq=False)
class SharedPatch:
    """A patch that many images of a class show somewhere.

    Attributes:
        patch: the pattern.
        constancy: P(an image shows it given the class) - the most of any other class, lesser of both splits.
    """

    patch: Patch
    constancy: float


def shared_patches(
    train: tuple[Tensor, np.ndarray], validation: tuple[Tensor, np.ndarray], classes: int
) -> dict[int, SharedPatch]:
    """The patch of 5 x 5 signs that each class shows most often beyond any other class, wherever it stands.

    A sign says whether a pixel of the gray image is brighter than the patch's mean. Plain patches (standard deviation
    below .06) and simple ones (edges, corners and stripes, fewer than 12 sign changes between neighbors) are left out.

    Args:
        train, validation: images (N, C, H, W) in [0, 1] and labels (N,).

    Returns:
        The patch of each class that has one in both splits.

    Raises:
        UnsupportedError: images smaller than 5 x 5 pixels.
    """
    counted = [_code_shares(*split, classes) for split in (train, validation)]
    codes, first, second = np.intersect1d(counted[0][0], counted[1][0], assume_unique=True, return_indices=True)
    if not len(codes):
        return {}
    lesser = np.minimum(counted[0][1][first], counted[1][1][second])
    found = {}
    for k in range(classes):
        best = int(lesser[:, k].argmax())
        if lesser[best, k] > 0:
            bits = (int(codes[best]) >> np.arange(SIDE**2)) & 1
            signs = torch.from_numpy(bits.astype(bool)).view(SIDE, SIDE)
            found[k] = SharedPatch(Patch(signs), float(lesser[best, k]))
    return found


def search_patches(
    model: Model,
    train: Sample,
    validation: Sample,
    classes: int,
    tolerance: float,
    rng: np.random.Generator,
    *,
    passes: int = PASSES,
    confidence: float = 0.95,
) -> Search:
    """Which patch, wherever it stands, gives a class away and moves predictions to it; as `search_windows`.

    The shared patch is found on one half of both splits; its constancy, gain and loss are measured on the other.

    Raises:
        UnsupportedError: images smaller than the patch, or fewer than two classes with images enough to compare.
    """
    prepared = prepare_patches(train, validation, classes, tolerance, rng, confidence)
    return confirm_patches(model, prepared, rng, passes=passes, confidence=confidence)


def prepare_patches(
    train: Sample,
    validation: Sample,
    classes: int,
    tolerance: float,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Prepared:
    """The first step of `search_patches`, which asks no model."""
    _check_size(train.images)
    train, validation, not_judged = judged_classes(train, validation, classes)
    halves = Halves.of(train, validation, rng)
    first, second = ((part.images, part.labels) for part in halves.search)
    shared = shared_patches(first, second, classes)
    present = np.unique(train.labels).tolist()
    joint = 1 - (1 - confidence) / len(present)
    candidates = {}
    for k in present:
        patch = shared[k].patch if k in shared else None
        carriers = patch.carriers if patch else nobody
        candidates[k] = Candidate(excess(carriers, halves.confirm, k, joint, confidence), carriers, patch)
    return Prepared(halves, candidates, not_judged, tolerance)


def confirm_patches(
    model: Model, prepared: Prepared, rng: np.random.Generator, *, passes: int = PASSES, confidence: float = 0.95
) -> Search:
    """The other steps of `search_patches`."""

    def propose(candidate: Candidate, trial: Trial | None) -> tuple[PlacedCue, tuple[tuple[PlacedCue, float], ...]]:
        assert isinstance(candidate.pattern, Patch)  # a class without one is cleared by its constancy
        return candidate.pattern, ()

    return search_classes(model, prepared, propose, rng, passes, confidence)


def _check_size(images: Tensor) -> None:
    height, width = images.shape[2:]
    if min(height, width) < SIDE:
        raise UnsupportedError(f"patch: images of {height}x{width} pixels are smaller than a patch of 5x5")


def _signs(images: Tensor) -> tuple[Tensor, Tensor]:
    """Signs of every patch (N, 25, L) and whether it has contrast (N, L)."""
    _check_size(images)
    patches = functional.unfold(gray(images), SIDE)
    return patches > patches.mean(dim=1, keepdim=True), patches.std(dim=1, correction=0) >= LEAST_CONTRAST


def _code_shares(images: Tensor, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes, and for each class the share of images that show one less the most of any other class: (M,), (M, K)."""
    sizes = np.bincount(labels, minlength=classes)
    codes, owners = [], []
    for batch, of in zip(torch.split(images, _BATCH), torch.split(torch.as_tensor(labels), _BATCH)):
        found = _codes(batch).cpu()
        new = found >= 0
        new[:, 1:] &= found[:, 1:] != found[:, :-1]  # once an image
        codes.append(found[new].numpy())
        owners.append(of[:, None].expand_as(found)[new].numpy())
    every, owner = np.concatenate(codes), np.concatenate(owners)
    # What no class of the least size shows in 5 % of its images is no pattern; most codes occur once.
    names, index, counts = np.unique(every, return_inverse=True, return_counts=True)
    often = counts >= max(2, 0.05 * min(sizes[sizes > 0], default=0))
    kept = often[index]
    place = (np.cumsum(often) - 1)[index[kept]]
    table = np.zeros((int(often.sum()), classes), dtype=np.float32)
    np.add.at(table, (place, owner[kept]), 1)
    table /= np.maximum(sizes, 1)
    if not len(table) or classes < 2:
        return names[often], table
    top = np.partition(table, -2, axis=1)
    most, second = top[:, -1:], top[:, -2:-1]
    return names[often], table - np.where(table == most, second, most)


def _codes(images: Tensor) -> Tensor:
    """Each patch's signs as a number, sorted by image, -1 for plain and simple ones: int64 (N, L)."""
    signs, busy = _signs(images)
    grid = signs.view(len(signs), SIDE, SIDE, -1)
    turns = (grid[:, 1:] != grid[:, :-1]).sum(dim=(1, 2)) + (grid[:, :, 1:] != grid[:, :, :-1]).sum(dim=(1, 2))
    weights = 2 ** torch.arange(SIDE**2, device=images.device)
    code = (signs * weights[:, None]).sum(dim=1)
    return torch.where(busy & (turns >= FEWEST_TURNS), code, -1).sort(dim=1).values


def _gather(images: Tensor, places: Tensor, side: int = SIDE) -> Tensor:
    """The patches at the places, (N, C, side, side)."""
    rows, columns = _indices(images, places, side)
    index = torch.arange(len(images), device=images.device)[:, None, None]
    return images.movedim(1, 3)[index, rows, columns].movedim(3, 1)


def _put(images: Tensor, places: Tensor, patches: Tensor) -> Tensor:
    """The images with the patches at the places."""
    rows, columns = _indices(images, places, SIDE)
    changed = images.movedim(1, 3).clone()
    changed[torch.arange(len(images), device=images.device)[:, None, None], rows, columns] = patches.movedim(1, 3)
    return changed.movedim(3, 1).contiguous()


def _indices(images: Tensor, places: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Rows (N, side, 1) and columns (N, 1, side) of the patches' pixels."""
    step = torch.arange(side, device=images.device)
    return places[:, 0, None, None] + step[None, :, None], places[:, 1, None, None] + step[None, None, :]
