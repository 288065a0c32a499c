"""Do the images of one class carry the same pixels at the same place?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.edges import CODES, ENDING, FLAT, LEVELS, PLATEAU, edge_codes
from cnnaudit.cues.pattern import Pattern, cut

#: Side of the window in which edge codes must agree together: the edges of a tag of 3 x 3 pixels.
SIDE = 4
#: The fewest codes of a pattern; a single pixel of another level makes three.
FEWEST_CODES = 3
#: Codes that are this much more frequent in the class than in any other belong to its pattern, and so much of the most
#: frequent one: three bounds are tried, as honest content may stand beside a tag.
SUPPORT = 0.1
SUPPORTS = (0.0, 0.5, 0.8)
#: A level of plain areas that more than this share of all pixels have is the background.
BACKGROUND = 0.1
_BATCH = 256
_PLACES = 3  # windows that are tried for each class, those with the most frequent codes
_CELLS = 2**24  # counts held in memory at once


@dataclass(frozen=True, eq=False)
class Constancy:
    """How constant each class is.

    Attributes:
        patterns: the most constant pattern of each class that has one, by class.
        classes: the classes that were judged, those with images in both splits.
        maps: (K, h, w) in [0, 1], constancy of single edge codes by class and place, the most over codes and channels.
    """

    patterns: dict[int, Pattern]
    classes: tuple[int, ...]
    maps: Tensor

    def value(self, class_index: int) -> float:
        """The constancy of a class, in [0, 1]; 0 where no pattern was found."""
        pattern = self.patterns.get(class_index)
        return max(pattern.constancy, 0.0) if pattern else 0.0

    def ranked(self) -> list[int]:
        """The judged classes, the most constant first."""
        return sorted(self.classes, key=lambda k: -self.value(k))


def constancy(train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], classes: int) -> Constancy:
    """How constant the content of each class is, at the place where it is most so.

    For each class, pixel and edge code (`edge_codes`; flat and the background's plateaus left out): P(code given the
    class) - max over other classes of P(code given that class), the lesser of both splits. Then, in windows of 4 x 4
    pixels where such codes stand close together, the same for P(an image shows at least m of them exactly), with the
    m, at least three and half of them, that tells the class best: honest content seldom repeats several differences
    to .02 at once, a tag does (`Pattern`). A plateau, nine pixels of one level, is a pattern by itself.

    Args:
        train, validation: images (N, C, H, W) in [0, 1] and labels, int64 (N,).
        classes: K, how many there are.

    Raises:
        UnsupportedError: fewer than two classes have images in both splits.
    """
    labels = [split[1].to(split[0].device) for split in (train, validation)]
    counts = [torch.bincount(of, minlength=classes) for of in labels]
    judged = torch.nonzero((counts[0] > 0) & (counts[1] > 0)).flatten()
    if len(judged) < 2:
        raise UnsupportedError(
            f"constancy compares classes; {len(judged)} of {classes} have images both in training and in validation"
        )
    splits = [
        _Split(split[0], torch.cat([edge_codes(batch) for batch in torch.split(split[0], _BATCH)]), of, n)
        for split, of, n in zip((train, validation), labels, counts)
    ]
    excess, best = _most_constant_codes(splits, _common(splits))
    patterns = {}
    for k in judged.tolist():
        found = _best_window(k, excess[k].float(), best[k], splits, judged)
        if found is not None:
            patterns[k] = found
    return Constancy(patterns, tuple(judged.tolist()), excess.amax(dim=1))


@dataclass(frozen=True, eq=False)
class _Split:
    """Images and their edge codes (N, C, H, W), labels (N,) and images per class (K,) of one split."""

    images: Tensor
    codes: Tensor
    labels: Tensor
    counts: Tensor


def _most_constant_codes(splits: list[_Split], common: Tensor) -> tuple[Tensor, Tensor]:
    """The code that is most in excess of all other classes, and its excess: float16 and uint8 (K, C, H, W)."""
    classes, shape = len(splits[0].counts), splits[0].codes.shape[1:]
    places = shape.numel()
    chunk = max(1, _CELLS // (classes * CODES))
    excess = torch.zeros(classes, places, dtype=torch.float16, device=splits[0].codes.device)
    best = torch.full((classes, places), FLAT, dtype=torch.uint8, device=excess.device)
    for start in range(0, places, chunk):
        lesser = torch.minimum(*(_excess(split, common, start, min(start + chunk, places)) for split in splits))
        most, code = lesser.max(dim=2)
        excess[:, start : start + chunk] = most.clamp_min(0).half()
        best[:, start : start + chunk] = code.to(torch.uint8)
    return excess.view(classes, *shape), best.view(classes, *shape)


def _common(splits: list[_Split]) -> Tensor:
    """The codes that are nobody's pattern: flat, plateaus that go on or of a level that a tenth of all pixels have."""
    each = [torch.stack([(split.codes == code).sum() for code in range(PLATEAU, CODES)]) for split in splits]
    counts = torch.stack(each).sum(dim=0).view(2, LEVELS).sum(dim=0)
    often = torch.nonzero(counts > BACKGROUND * sum(split.codes.numel() for split in splits)).flatten()
    going_on = torch.arange(PLATEAU, ENDING, device=often.device)
    return torch.cat([torch.tensor([FLAT], device=often.device), going_on, often + ENDING])


def _excess(split: _Split, common: Tensor, start: int, stop: int) -> Tensor:
    """P(code given the class) - max over the other classes, at some of the places: (K, places, codes)."""
    classes = len(split.counts)
    flat = split.codes.flatten(1)[:, start:stop]
    place = torch.arange(stop - start, device=flat.device, dtype=torch.int32) * CODES
    first = (split.labels * ((stop - start) * CODES)).to(torch.int32)
    index = flat.to(torch.int32).add_(place).add_(first[:, None])
    counts = torch.bincount(index.flatten(), minlength=classes * (stop - start) * CODES)
    shares = counts.view(classes, stop - start, CODES) / split.counts.clamp_min(1)[:, None, None]
    shares[:, :, common] = 0
    first_two = shares.topk(2, dim=0).values
    return shares - torch.where(shares == first_two[0], first_two[1], first_two[0])


def _best_window(
    class_index: int, excess: Tensor, best: Tensor, splits: list[_Split], judged: Tensor
) -> Pattern | None:
    """The most constant window of a class, of those where the most frequent codes stand; None where none has three."""
    height, width = (min(SIDE, length) for length in excess.shape[1:])
    ones = torch.ones(1, 1, height, width, device=excess.device)
    found = []
    for support in sorted({max(SUPPORT, share * float(excess.max())) for share in SUPPORTS}):
        wanted = excess > support
        weight = functional.conv2d((excess * wanted).sum(dim=0)[None, None], ones)[0, 0]
        number = functional.conv2d(wanted.sum(dim=0).float()[None, None], ones)[0, 0]
        weight = torch.where(number >= FEWEST_CODES, weight, 0)
        for place in weight.flatten().topk(min(_PLACES, weight.numel())).indices.tolist():
            top, left = divmod(place, weight.shape[1])
            if weight[top, left] > 0:
                area = (slice(None), slice(top, top + height), slice(left, left + width))
                found.append(_pattern(class_index, top, left, best[area], wanted[area], splits, judged))
    plateau = torch.where((best >= PLATEAU) & (excess > SUPPORT), excess, 0).flatten()
    if plateau.any():
        channel, top, left = (int(at) for at in torch.unravel_index(plateau.argmax(), best.shape))
        area = (slice(None), slice(top, top + 1), slice(left, left + 1))
        wanted = (torch.arange(len(best), device=best.device) == channel)[:, None, None]
        found.append(_pattern(class_index, top, left, best[area], wanted, splits, judged))
    return max(found, key=lambda pattern: pattern.constancy, default=None)


def _pattern(
    class_index: int, top: int, left: int, codes: Tensor, wanted: Tensor, splits: list[_Split], judged: Tensor
) -> Pattern:
    """The pattern of these codes as those images of the class show it that have half of them, and its constancy."""
    total = int(wanted.sum())
    least = min(total, max(FEWEST_CODES, -(-total // 2)))  # a plateau is one code of nine pixels
    shown = [cut(split.images[split.labels == class_index], top, left, *codes.shape[1:]) for split in splits]
    own, right, down = (torch.cat(parts) for parts in zip(*shown))
    like = ((own == codes) & wanted).flatten(1).sum(dim=1) >= least
    usual = torch.stack([side[like].median(dim=0).values if like.any() else side[0] for side in (right, down)])
    pattern = Pattern(class_index, top, left, codes, wanted, usual, least, 0.0, 0.0)
    excesses, shares = [], []
    for split in splits:
        index = split.labels * (total + 1) + pattern.hits(split.images)
        counts = torch.bincount(index, minlength=len(split.counts) * (total + 1)).view(-1, total + 1)
        # P(at least so many codes), for each judged class: (K, 0..total).
        known = (counts.flip(1).cumsum(1).flip(1) / split.counts.clamp_min(1)[:, None])[judged]
        shares.append(known[judged == class_index][0])
        excesses.append(shares[-1] - known[judged != class_index].amax(dim=0))
    excess, share = torch.minimum(*excesses), torch.minimum(*shares)
    needed = least + int(excess[least:].argmax())
    return replace(pattern, needed=needed, constancy=float(excess[needed]), share=float(share[needed]))
