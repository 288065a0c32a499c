"""Images with a cue marked, taken out, and put into another class, with what the model answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cnnaudit.core import evidence
from cnnaudit.core.evidence import Evidence
from cnnaudit.cues import Found, Sample, Search

SHOWN = 3
#: Forward passes that the pictures of one class cost.
PASSES = 4 * SHOWN
_SIDE = 112


def transplants(
    found: Found,
    search: Search,
    logits: Callable[[Tensor], Tensor],
    classes: Sequence[str],
    boxes: Callable[[Tensor], Tensor],
) -> list[Evidence]:
    """Three images of a class with the cue, without it, and three of other classes before and after they get it.

    Args:
        boxes: images -> top, left, height and width of the cue in each, int64 (N, 4).
    """
    cue, k = found.cue, found.class_index
    if cue is None:
        return []
    candidate = search.candidates[k]
    donors, recipients = search.halves.confirm
    own = donors.part(np.flatnonzero(donors.labels == k))
    own = own.part(np.flatnonzero(candidate.carriers(own.images).cpu().numpy())[:SHOWN])
    n = len(own)
    others = _of_other_classes(recipients, k, n)
    n = min(n, len(others))
    if not n:
        return []
    own, others = own.part(np.arange(n)), others.part(np.arange(n))
    given, without = cue.transplant(others.images, own.images), cue.transplant(own.images, others.images)
    answers = logits(torch.cat([own.images, without, others.images, given])).argmax(1)
    said = [f"predicted {classes[int(a)]}" for a in answers]
    marked = _marked(own.images, boxes(own.images))
    taken = _marked(without, boxes(own.images))
    before, after = _marked(others.images, None), _marked(given, boxes(given))
    names = [classes[int(label)] for label in others.labels]
    return [
        evidence.images(
            f"Class '{classes[k]}' with the cue marked, and the same images without it",
            _small(torch.stack([marked, taken], 1).flatten(0, 1)),
            [text for i in range(n) for text in (f"{classes[k]}, {said[i]}", f"without it, {said[n + i]}")],
        ),
        evidence.images(
            f"Images of other classes, and the same with the cue of '{classes[k]}'",
            _small(torch.stack([before, after], 1).flatten(0, 1)),
            [text for i in range(n) for text in (f"{names[i]}, {said[2 * n + i]}", f"with it, {said[3 * n + i]}")],
        ),
    ]


def places_tried(found: Found) -> list[Evidence]:
    """The share of recipients that follow each window that was tried: a heat map, or a table of a few places."""
    tried = {(cue.top, cue.left): share for cue, share in found.tried if hasattr(cue, "top") and hasattr(cue, "left")}
    if not tried:
        return []
    rows, columns = (sorted({place[axis] for place in tried}) for axis in (0, 1))
    title = "Share of other images that follow the content of a window, by its place"
    if len(rows) > 1 and len(columns) > 1 and len(tried) == len(rows) * len(columns):
        values = np.array([[tried[row, column] for column in columns] for row in rows])
        return [evidence.heat_map(title, values, label="share of images", rows="window, down", columns="across")]
    listed = [[row, column, round(share, 3)] for (row, column), share in sorted(tried.items(), key=lambda t: -t[1])]
    return [evidence.table(title, ["top row", "left column", "share"], listed)]


def _of_other_classes(recipients: Sample, k: int, n: int) -> Sample:
    """One image of each of the first n other classes, or more of them where there are fewer classes."""
    rows = np.flatnonzero(recipients.labels != k)
    turn = np.zeros(len(rows), dtype=int)
    for label in np.unique(recipients.labels[rows]):
        same = recipients.labels[rows] == label
        turn[same] = np.arange(same.sum())
    return recipients.part(rows[np.argsort(turn, kind="stable")][:n])


def _marked(images: Tensor, boxes: Tensor | None) -> Tensor:
    """The images as RGB, enlarged where they are small, with a red frame around each box (top, left, height, width)."""
    channels = images.shape[1]
    color = images if channels == 3 else images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    factor = max(1, _SIDE // max(images.shape[2:]))
    color = color.repeat_interleave(factor, 2).repeat_interleave(factor, 3).clone()
    if boxes is not None:
        width = max(1, factor // 2)
        red = torch.tensor([1.0, 0.1, 0.1]).view(3, 1, 1)
        for image, (top, left, high, wide) in zip(color, boxes.tolist()):
            a, b = max(0, top * factor - width), max(0, left * factor - width)
            c, d = (top + high) * factor + width, (left + wide) * factor + width
            for area in (image[:, a : a + width, b:d], image[:, c - width : c, b:d]):
                area.copy_(red.expand_as(area))
            for area in (image[:, a:c, b : b + width], image[:, a:c, d - width : d]):
                area.copy_(red.expand_as(area))
    return color


def _small(images: Tensor) -> np.ndarray:
    """The images with their longer side at most 224 pixels."""
    factor = 2 * _SIDE / max(images.shape[2:])
    if factor < 1:
        size = [max(1, round(side * factor)) for side in images.shape[2:]]
        images = functional.interpolate(images, size=size, mode="area")
    found: np.ndarray = images.numpy()
    return found
