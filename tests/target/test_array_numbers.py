"""Arrays and tensors of every type: read, or refused where they come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cnnaudit.core.errors import DataError
from cnnaudit.target import AuditTarget
from cnnaudit.target.numbers import as_column

PIXELS = np.random.default_rng(0).integers(0, 5, (4, 1, 6, 6)) / 4  # multiples of 1/4: exact in every float type
LABELS = np.array([0, 1, 0, 1])


def _target(images: Any, labels: Any = LABELS, **settings: Any) -> AuditTarget:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 2))
    return AuditTarget.from_arrays("demo", net, {"validation": (images, labels)}, ("a", "b"), **settings)


@pytest.mark.parametrize(
    "images",
    [
        PIXELS.astype(">f4"),
        PIXELS.astype(">f8"),
        PIXELS.astype(np.longdouble),
        PIXELS.astype(np.float16),
        PIXELS[..., ::-1].copy()[..., ::-1],
        PIXELS.tolist(),
        torch.tensor(PIXELS, dtype=torch.bfloat16),
        torch.tensor(PIXELS, dtype=torch.float16),
        torch.tensor(PIXELS, requires_grad=True),
    ],
    ids=["big-endian f4", "big-endian f8", "longdouble", "float16", "strides", "lists", "bf16", "fp16", "graph"],
)
def test_floats_of_every_type_are_the_same_images(images: Any) -> None:
    target = _target(images)
    read, _ = target.sample("validation")
    assert read.dtype == torch.float32 and not read.requires_grad
    np.testing.assert_array_equal(read, PIXELS.astype(np.float32))
    assert target.logits(read).shape == (4, 2)


@pytest.mark.parametrize("labels", [LABELS.astype(">i2"), torch.tensor(LABELS, dtype=torch.uint8), [0, 1, 0, 1]])
def test_labels_of_every_integer_type(labels: Any) -> None:
    assert _target(PIXELS, labels).split("validation").labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (PIXELS.astype(np.int64), LABELS, "expected uint8 or float images, got int64"),
        (PIXELS.astype(bool), LABELS, "got bool"),
        (PIXELS.astype(complex), LABELS, "got complex128"),
        (PIXELS.astype(object), LABELS, "images: expected an array of numbers, got Python objects"),
        ([[[1.0, 0.0]], [[1.0]]], LABELS, "images: expected an array or a tensor, got list"),
        (torch.tensor(PIXELS).to_sparse(), LABELS, "images: expected an array or a tensor, got Tensor"),
        (np.ma.masked_equal(PIXELS, 0), LABELS, "images: the array is masked"),
        (PIXELS[:0], LABELS[:0], "expected images with pixels"),
        (PIXELS, LABELS.astype(float), "expected 4 integer labels"),
        (PIXELS, LABELS.astype(bool), "of bool"),
        (PIXELS, np.array([0, 1, 0, 2**64 - 1], dtype=np.uint64), r"got 0\.\.18446744073709551615"),
        (PIXELS, ["a", "b", "a", "b"], "expected 4 integer labels"),
    ],
)
def test_what_is_no_image_or_no_label_is_refused_at_once(images: Any, labels: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        _target(images, labels)


def test_splits_that_do_not_fit_each_other_are_refused() -> None:
    net = torch.nn.Flatten()
    pair = (PIXELS, LABELS)
    for splits, said in (
        ({}, "expected splits such as"),
        ({"train": PIXELS}, "expected splits such as"),
        ({"train": pair, "validation": (PIXELS[..., :5], LABELS)}, r"validation: expected images of \(1, 6, 6\)"),
    ):
        with pytest.raises(DataError, match=said):
            AuditTarget.from_arrays("demo", net, splits, ("a", "b"))
    with pytest.raises(DataError, match=r"metadata for \['test'\]"):
        _target(PIXELS, metadata={"test": {"site": LABELS}})


def test_columns() -> None:
    assert as_column("c", np.array(["x", "y"], dtype=object)).dtype.kind == "U"
    assert as_column("c", torch.tensor([1.5, float("nan")])).dtype == np.float64
    for column, said in (
        ([1.0, float("inf")], "infinite or beyond"),
        ([1.0, 1e300], "infinite or beyond"),
        (np.array([{}, 1], dtype=object), "Python objects"),
        (np.array(["2024-01-01"], dtype="datetime64[D]"), r"got datetime64"),
        (np.zeros((3, 2)), r"of shape \(3, 2\)"),
    ):
        with pytest.raises(DataError, match=said):
            as_column("c", column)
