"""Every kind of source becomes a split."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder

from cnnaudit.core.errors import DataError
from cnnaudit.data import FolderSplit, shapes
from cnnaudit.target import AuditTarget, InputSpec
from cnnaudit.target.data_sources import as_split

SPEC = InputSpec(channels=1, size=(28, 28))
CLASSES = ("circle", "square", "triangle")
DATA = shapes(n_per_class=4)


class Pictures(Dataset[Any]):
    """Pillow images that count how often they are read."""

    def __init__(self, labels: list[int], targets: bool) -> None:
        self.answers, self.reads = labels, 0
        if targets:
            self.targets = labels

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        self.reads += 1
        return Image.new("RGB", (40, 30), (10 * index,) * 3), self.answers[index]


@pytest.mark.parametrize(
    "value",
    [
        (DATA.images, DATA.labels),
        [torch.from_numpy(DATA.images), torch.from_numpy(DATA.labels)],
        DATA,
        TensorDataset(torch.from_numpy(DATA.images), torch.from_numpy(DATA.labels)),
    ],
    ids=["pair", "tensors", "object", "dataset"],
)
def test_arrays_objects_and_datasets_are_the_same_split(value: Any) -> None:
    split = as_split("train", value, CLASSES, SPEC)
    assert np.array_equal(split.labels, DATA.labels)
    indices = np.array([7, 2])
    assert torch.equal(split.read(indices), torch.from_numpy(DATA.images[indices]))
    assert split.name(7) == "train[7]"
    assert (dict(split.metadata), dict(split.properties(indices))) == ({}, {})


def test_metadata_of_an_object() -> None:
    value = SimpleNamespace(images=DATA.images, labels=DATA.labels, metadata={"inverted": DATA.polarity})
    assert np.array_equal(as_split("train", value, CLASSES, SPEC).metadata["inverted"], DATA.polarity)


def test_a_dataset_is_read_lazily() -> None:
    dataset = Pictures([0, 1, 2, 1], targets=True)
    split = as_split("train", dataset, CLASSES, SPEC)
    assert split.labels.tolist() == [0, 1, 2, 1]
    assert dataset.reads == 0
    images = split.read(np.array([3, 1]))
    assert dataset.reads == 2
    assert images.shape == (2, 1, 28, 28)
    np.testing.assert_allclose(images.mean(dim=(1, 2, 3)), [30 / 255, 10 / 255], atol=1e-6)


def test_labels_without_targets_and_of_subsets() -> None:
    assert as_split("train", Pictures([2, 1, 0], targets=False), CLASSES, SPEC).labels.tolist() == [2, 1, 0]
    subset = Subset(Pictures([0, 1, 2, 1], targets=True), [2, 3])
    assert as_split("train", subset, CLASSES, SPEC).labels.tolist() == [2, 1]
    assert subset.dataset.reads == 0


def test_a_torchvision_dataset_and_a_folder_give_the_same_pixels(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(len(name)).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name / "0.png")
    spec = InputSpec(channels=3, size=(24, 24), resize=30)
    ours, theirs = (as_split("train", value, ("a", "b"), spec) for value in (tmp_path, ImageFolder(str(tmp_path))))
    assert isinstance(ours, FolderSplit)
    assert torch.equal(ours.read(np.arange(2)), theirs.read(np.arange(2)))
    assert np.array_equal(ours.labels, theirs.labels)


def test_splits_serve_a_target() -> None:
    split = as_split("validation", Pictures([0, 1, 2] * 4, targets=True), CLASSES, SPEC)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 3))
    target = AuditTarget("demo", net, CLASSES, SPEC, {"validation": split})
    images, labels = target.sample("validation", 6)
    assert images.shape == (6, 1, 28, 28)
    assert np.bincount(labels).tolist() == [2, 2, 2]


def _tensor_dataset(images: np.ndarray, labels: list[int]) -> TensorDataset:
    return TensorDataset(torch.from_numpy(images), torch.tensor(labels))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (42, r"data\.train: got int\. Expected one of: a folder with a folder per class; a pair \(images, labels\)"),
        ((DATA.images[:, :, :20], DATA.labels), r"the images are \(1, 20, 28\).*\[input\] says \(1, 28, 28\)"),
        ((DATA.images, DATA.labels + 1), r"labels must be in 0\.\.2 for 3 classes, got 1\.\.3"),
        (Pictures([0, 5], targets=True), r"train\[1\]: labels must be in 0\.\.2 for 3 classes, got 5"),
        (Pictures([], targets=True), r"train: the dataset has no items"),
        (_tensor_dataset(DATA.images * 255, [0] * 12), r"train\[0\]: expected pixels in \[0, 1\], got 0\.\.255"),
        (_tensor_dataset(DATA.images[..., :9], [0] * 12), r"train\[0\]: expected \(C, H, W\) = \(1, 28, 28\)"),
    ],
)
def test_errors(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_split("train", value, CLASSES, SPEC).read(np.arange(2))


def test_a_metadata_file_needs_image_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.train is a callable"):
        as_split("train", DATA, CLASSES, SPEC, metadata=tmp_path / "metadata.csv")
