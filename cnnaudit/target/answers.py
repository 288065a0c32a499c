"""The logits among what a network answers, and what kind of network another answer speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

NAMES = ("logits", "pred", "prediction", "predictions", "output")
BOXES = ("boxes", "pred_boxes", "scores")


def logits_of(answer: Any) -> Any:
    """The logits in an answer of more than logits, as it is given where there is no telling.

    `ImageClassifierOutput` and dicts with `logits`, tuples (logits, aux …) whose first entry is a matrix.

    Example:
        >>> logits_of({"logits": torch.zeros(2, 3), "loss": None}).shape
        torch.Size([2, 3])
        >>> logits_of((torch.ones(2, 3), torch.zeros(2, 8))).sum()
        tensor(6.)
    """
    if isinstance(answer, torch.Tensor):
        return answer
    if isinstance(answer, Mapping):  # transformers' ModelOutput is one, too
        found = next((answer[name] for name in NAMES if isinstance(answer.get(name), torch.Tensor)), None)
        return answer if found is None or _speaks_of_boxes(answer) else found
    if isinstance(getattr(answer, "logits", None), torch.Tensor):
        return answer.logits
    if isinstance(answer, (tuple, list)) and answer and isinstance(answer[0], torch.Tensor) and answer[0].ndim == 2:
        return answer[0]
    return answer


def other_kind(answer: Any) -> str:
    """What else than a classifier a network with that answer is, in words; empty where it is none that is known."""
    first = answer[0] if isinstance(answer, (tuple, list)) and answer else answer
    if isinstance(first, Mapping) and _speaks_of_boxes(first):
        return "a detector (it answers boxes); an audit asks classifiers: audit its backbone with a classifier on top"
    maps = (
        next((v for v in first.values() if isinstance(v, torch.Tensor)), None) if isinstance(first, Mapping) else first
    )
    if isinstance(maps, torch.Tensor) and maps.ndim == 4:
        return (
            "a segmenter or a feature extractor (it answers maps, one value per place); an audit asks classifiers: "
            "pool "
            "the maps to one logit per class in a module of your own"
        )
    return ""


def ends_in(answer: torch.Tensor, function: str) -> bool:
    """Whether the graph of an answer, computed with gradients, ends in that function, such as `Sigmoid`."""
    node = answer.grad_fn
    for _ in range(8):
        if node is None:
            return False
        name = node.name()
        if name.startswith(f"{function}Backward"):
            return True
        if not name.startswith(PASSED) or not node.next_functions:
            return False
        node = node.next_functions[0][0]
    return False


PASSED = ("View", "Reshape", "UnsafeView", "Squeeze", "Unsqueeze", "ToCopy", "Slice", "Select", "Clone", "Alias")


def _speaks_of_boxes(answer: Mapping[Any, Any]) -> bool:
    return any(name in answer for name in BOXES[:2])
