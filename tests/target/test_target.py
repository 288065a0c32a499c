"""Targets in memory: samples, logits, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cnnaudit.core.errors import DataError, ModelError
from cnnaudit.target import AuditTarget


def make(model=None, n=60, classes=("a", "b", "c"), **settings):
    images = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(n) % len(classes)
    model = model or torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, len(classes)))
    return AuditTarget.from_arrays("demo", model, {"validation": (images, labels)}, classes, **settings)


def test_a_sample_is_stratified_sorted_and_without_replacement():
    target = make(n=600)
    chosen = target.draw("validation", 90, seed=1)
    assert len(set(chosen)) == 90
    assert np.all(np.diff(chosen) > 0)
    assert np.bincount(target.split("validation").labels[chosen]).tolist() == [30, 30, 30]


def test_a_rare_class_is_in_the_sample():
    labels = np.zeros(1000, dtype=int)
    labels[777] = 1
    images = np.zeros((1000, 1, 2, 2), dtype=np.uint8)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    target = AuditTarget.from_arrays("rare", model, {"train": (images, labels)}, ("a", "b"))
    assert 777 in target.draw("train", 20)


def test_samples_depend_on_the_seed_only():
    assert make().draw("validation", 9, 3).tolist() == make().draw("validation", 9, 3).tolist()
    assert make().draw("validation", 9, 3).tolist() != make().draw("validation", 9, 4).tolist()


def test_a_sample_larger_than_the_split_is_the_split():
    images, labels = make().sample("validation", 10_000)
    assert images.shape == (60, 1, 4, 4)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64


def test_logits_do_not_depend_on_the_batch_size():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    images = torch.rand(10, 1, 4, 4)
    whole, small = make(model).logits(images), make(model, batch_size=3).logits(images)
    torch.testing.assert_close(whole, small)


def test_batches_halve_when_memory_runs_out():
    sizes = []

    class Hungry(torch.nn.Module):
        def forward(self, images):
            sizes.append(len(images))
            if len(images) > 3:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
            return images.flatten(1)[:, :3]

    assert make(Hungry(), batch_size=16).logits(torch.rand(10, 1, 4, 4)).shape == (10, 3)
    assert sizes[:3] == [10, 8, 4] or sizes[:3] == [10, 5, 2] or 2 in sizes


def test_another_error_of_the_model_is_not_taken_for_lack_of_memory_and_names_the_batch():
    class Broken(torch.nn.Module):
        def forward(self, images):
            raise RuntimeError("shape mismatch")

    with pytest.raises(ModelError, match=r"RuntimeError on a batch of shape .*shape mismatch"):
        replace(make(), model=Broken()).logits(torch.rand(10, 1, 4, 4))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x.flatten(1)[:, :2], r"\(5, 3\).*\(5, 2\)"),
        (lambda x: (x,), "tuple"),
        (lambda x: x.flatten(1)[:, :3] * float("nan"), "NaN"),
    ],
)
def test_answers_that_are_not_logits_are_refused(answer, message):
    class Odd(torch.nn.Module):
        def forward(self, images):
            return answer(images)

    with pytest.raises(ModelError, match=message):
        replace(make(), model=Odd()).logits(torch.rand(5, 1, 4, 4))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 1, 2, 2), np.float32), [0, 1, 2, 1], "0..1"),
        (np.zeros((4, 1, 2, 2), np.float32), [0, 1], "4 integer labels"),
        (np.full((4, 1, 2, 2), 255.0), [0, 1, 0, 1], r"\[0, 1\]"),
        (np.full((4, 1, 2, 2), np.nan), [0, 1, 0, 1], r"\[0, 1\]"),
        (np.zeros((4, 5)), [0, 1, 0, 1], "channels"),
        (np.zeros((4, 2, 2), np.int64), [0, 1, 0, 1], "uint8 or float"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(images, labels, message):
    with pytest.raises(DataError, match=message):
        AuditTarget.from_arrays("bad", torch.nn.Identity(), {"train": (images, labels)}, ("a", "b"))


def test_bytes_become_pixels_in_the_unit_interval():
    images = np.array([[[0, 255], [51, 102]]], dtype=np.uint8)
    target = AuditTarget.from_arrays("bytes", torch.nn.Flatten(), {"train": (images, [0])}, tuple("abcd"))
    torch.testing.assert_close(target.sample("train")[0].flatten(), torch.tensor([0, 1, 0.2, 0.4]))


def test_a_split_that_is_not_there_is_named_with_its_key():
    with pytest.raises(DataError, match=r"data\.train"):
        make().split("train")


def test_a_model_that_writes_into_its_input_leaves_the_sample_alone():
    class Writes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(16, 3)

        def forward(self, x):
            return self.linear(x.sub_(0.5).div_(0.25).flatten(1))

    target = make(Writes())
    expected = target.split("validation").read(np.arange(60))
    first, again = target.predictions("validation"), target.logits(expected)
    assert torch.equal(first, again) and torch.equal(target.sample("validation")[0], expected)
    assert float(expected.min()) >= 0


def test_what_a_model_keeps_of_its_first_pass_can_be_differentiated_later():
    class Keeps(torch.nn.Module):
        kept = None

        def forward(self, x):
            self.kept = torch.ones(16, 3) if self.kept is None else self.kept
            return x.flatten(1) @ self.kept

    target = make(Keeps())
    with torch.inference_mode():
        target.predictions("validation")
    images = torch.rand(2, 1, 4, 4, requires_grad=True)
    target.model(images).sum().backward()
    assert bool(images.grad.any())
