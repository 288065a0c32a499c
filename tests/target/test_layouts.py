"""Everything that a callable may return as its data, and each layout's malformed twin."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from cnnaudit.checks import catalogue as known_checks
from cnnaudit.checks.run import run_check
from cnnaudit.core.errors import DataError
from cnnaudit.target import AuditTarget, InputSpec
from cnnaudit.target.data_sources import as_split
from cnnaudit.target.multilabel import one_per_label
from cnnaudit.target.reading import Reading

CLASSES = ("cat", "dog")
SPEC = InputSpec(channels=3, size=(8, 8))
LEVELS = (40, 90, 140, 190)
LABELS = [0, 1, 1, 0]


def pictures() -> list[Image.Image]:
    return [Image.new("RGB", (10, 12), (level,) * 3) for level in LEVELS]


def check(value: Any, spec: InputSpec = SPEC, **settings: Any) -> Any:
    """The split, which must be the four gray pictures with their labels."""
    split = as_split("train", value, CLASSES, spec, **settings)
    assert split.labels.tolist() == LABELS
    found = split.read(np.array([3, 0]))
    assert found.shape == (2, 3, 8, 8)
    np.testing.assert_allclose(found[:, 0, 0, 0].numpy(), [190 / 255, 40 / 255], atol=2e-3)
    return split


class Rows(Dataset[Any]):
    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.rows[index]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for k, picture in enumerate(pictures()):
        picture.save(tmp_path / f"{k}.png")
    return tmp_path


def tensors() -> torch.Tensor:
    return torch.stack([torch.full((3, 8, 8), level, dtype=torch.uint8) for level in LEVELS])


@pytest.mark.parametrize("image", ["image", "pixel_values", "img"])
@pytest.mark.parametrize("label", ["label", "labels", "target"])
def test_dict_rows_and_their_metadata(image: str, label: str) -> None:
    rows = [
        {image: p, label: k, "site": "ab"[i % 2], "age": 40 + i} for i, (p, k) in enumerate(zip(pictures(), LABELS))
    ]
    for value in (rows, Rows(rows)):
        split = check(value)
        assert split.metadata["site"].tolist() == ["a", "b", "a", "b"]
        assert split.metadata["age"].tolist() == [40, 41, 42, 43]


@pytest.mark.parametrize(
    "value",
    [
        list(zip(pictures(), LABELS)),
        (pictures(), LABELS),
        Rows(list(zip(tensors(), LABELS))),
        Rows([(image.permute(1, 2, 0).numpy(), CLASSES[k]) for image, k in zip(tensors(), LABELS)]),
        Rows([(image, torch.tensor(k), {"site": "a"}) for image, k in zip(tensors(), LABELS)]),
        Subset(Rows(list(zip(pictures(), LABELS))), [0, 1, 2, 3]),
        {"images": tensors(), "labels": LABELS},
        (tensors().permute(0, 2, 3, 1).numpy(), np.array(LABELS)),
        DataLoader(TensorDataset(tensors(), torch.tensor(LABELS)), batch_size=3),
        pd.DataFrame({"image": pictures(), "label": [CLASSES[k] for k in LABELS], "age": [1, 2, 3, 4]}),
    ],
    ids=["pairs", "pictures", "tensors", "channels last", "triple", "subset", "mapping", "arrays", "loader", "frame"],
)
def test_rows_in_memory(value: Any) -> None:
    check(value)


def test_paths_and_names(files: Path) -> None:
    names = [CLASSES[k] for k in LABELS]
    paths = [f"{k}.png" for k in range(4)]
    for value in (list(zip(paths, names)), (paths, names), list(zip([files / p for p in paths], LABELS))):
        assert check(value, base=files).name(2) == "2.png"
    frame = pd.DataFrame({"path": paths, "diagnosis": names, "site": ["a", "b", "a", "b"]})
    assert check(frame, base=files).metadata["site"].tolist() == ["a", "b", "a", "b"]
    check(Rows([{"image": p, "label": k} for p, k in zip(paths, names)]), base=files)


def test_a_shuffling_loader_is_unwrapped_with_a_warning() -> None:
    data = TensorDataset(tensors(), torch.tensor(LABELS))
    with pytest.warns(UserWarning, match=r"data\.train: the DataLoader shuffles"):
        check(DataLoader(data, shuffle=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(DataLoader(data))


def test_classes_in_another_order_are_translated_by_their_names() -> None:
    data = Rows(list(zip(pictures(), [1, 0, 0, 1])))
    data.classes = ["dog", "cat"]  # type: ignore[attr-defined]
    check(data)
    data.classes = ["dog", "bird"]  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"the dataset calls its classes 'dog', 'bird', data\.classes are 'cat', 'dog'"):
        check(data)


def test_hugging_face_datasets() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["dog", "cat"]),
            "site": datasets.Value("string"),
        }
    )
    rows = {"image": pictures(), "label": [1, 0, 0, 1], "site": ["a", "b", "a", "b"]}
    value = datasets.Dataset.from_dict(rows, features=features)
    assert check(value).metadata["site"].tolist() == ["a", "b", "a", "b"]
    check(value.cast_column("image", datasets.Image(decode=False)))
    check(value.with_transform(lambda batch: {**batch, "image": batch["image"]}))
    with pytest.raises(DataError, match=r"train: got IterableDataset; a stream has no length|no length"):
        check(value.to_iterable_dataset())
    with pytest.raises(DataError, match=r"got DatasetDict.*Expected one of|a split of it"):
        check(datasets.DatasetDict({"train": value}))


def test_normalized_tensors_are_turned_back() -> None:
    spec = InputSpec(
        3, (8, 8), order="BGR", scale=255.0, mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0), already="normalized"
    )
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    colors = tensors().float()
    colors[:, 1:] = 20
    given = (colors.flip(1) - mean) / std
    for value in ((given, LABELS), Rows(list(zip(given, LABELS)))):
        split = check(value, spec)
        np.testing.assert_allclose(split.read(np.arange(4)).numpy(), colors.numpy() / 255, atol=1e-6)
    with pytest.raises(DataError, match=r"expected pixels in \[0, 1\] once input\.mean .* are undone, got"):
        check((given * 3, LABELS), spec)
    with pytest.raises(DataError, match=r"input\.already = 'normalized' is about tensors"):
        check(list(zip(pictures(), LABELS)), spec)
    with pytest.raises(DataError, match=r"say so: input\.already = 'normalized'"):
        check((given, LABELS))


def test_numpy_files(tmp_path: Path) -> None:
    images, labels = tensors().numpy(), np.array(LABELS)
    np.savez(tmp_path / "a.npz", images=images, labels=labels, age=np.arange(4))
    assert check(tmp_path / "a.npz").metadata["age"].tolist() == [0, 1, 2, 3]
    np.savez(tmp_path / "b.npz", x_train=images.transpose(0, 2, 3, 1), y_train=labels[:, None])
    check("b.npz", base=tmp_path)
    np.save(tmp_path / "i.npy", images)
    np.save(tmp_path / "l.npy", labels)
    check(("i.npy", "l.npy"), base=tmp_path)
    np.savez(tmp_path / "c.npz", pictures=images)
    with pytest.raises(DataError, match=r"c\.npz holds pictures; expected arrays called images and labels"):
        check(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", images=images.astype(np.int32), labels=labels)
    with pytest.raises(DataError, match=r"train: expected uint8 or float images, got int32"):
        check(tmp_path / "d.npz")


def tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def shards(folder: Path) -> str:
    for k, (picture, label) in enumerate(zip(pictures(), LABELS)):
        note = (
            ("cls", str(label).encode())
            if k < 2
            else ("json", json.dumps({"label": CLASSES[label], "age": k}).encode())
        )
        tar(folder / f"s-{k}.tar", [(f"x/{k}.png", encoded(picture)), (f"x/{k}.{note[0]}", note[1])])
    return "s-{0..3}.tar"


def test_shards_are_read_in_place(tmp_path: Path) -> None:
    split = check(shards(tmp_path), base=tmp_path)
    assert split.name(2) == "s-2.tar/x/2"
    assert split.properties(np.array([1]))["file_size"].tolist() == [len(encoded(pictures()[1]))]


PNG = encoded(Image.new("RGB", (8, 8)))
BAD_SHARDS = [
    ([], r"s\.tar: the shard is empty"),
    ([("a.png", PNG)], r"s\.tar/a: no label; expected a member \.cls"),
    ([("a.png", PNG), ("a.cls", b"7")], r"s\.tar/a: labels must be in 0\.\.1 for 2 classes, got 7"),
    ([("a.png", PNG), ("a.cls", b"cow")], r"s\.tar/a: label 'cow' is none of"),
    ([("a.png", PNG), ("a.json", b"[" * 9000)], r"s\.tar/a: the label cannot be read"),
    ([("a.png", PNG), ("a.cls", b"\xff")], r"s\.tar/a: the label cannot be read"),
    ([("a.png", PNG), ("a.jpg", PNG), ("a.cls", b"0")], r"s\.tar/a: the sample has two images"),
    ([("a.png", PNG), ("b.cls", b"0")], r"s\.tar/b: a label without an image"),
    ([("../a.png", PNG), ("../a.cls", b"0")], r"a name with control characters or '\.\.'"),
    ([("a\n.png", PNG), ("a\n.cls", b"0")], r"a name with control characters"),
    ([("a.png", PNG), ("a.cls", b"0" * 2_000_000)], r"its header says 2,000,000 bytes"),
    ([("a.png", b"%!PS-Adobe"), ("a.cls", b"0")], r"s\.tar/a: the image cannot be prepared"),
]


@pytest.mark.parametrize(("members", "message"), BAD_SHARDS)
def test_a_bad_shard_is_refused_by_its_member(tmp_path: Path, members: list[tuple[str, bytes]], message: str) -> None:
    path = tar(tmp_path / "s.tar", members)
    with pytest.raises(DataError, match=message):
        as_split("train", path, CLASSES, SPEC).read(np.array([0]))


def test_a_cut_compressed_or_linked_shard_is_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "s.tar", [("a.png", PNG * 20), ("a.cls", b"0")])
    whole = path.read_bytes()
    for data in (whole[:700], b"\x1f\x8b" + whole, b"no tar" * 200):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"^s\.tar"):
            as_split("train", path, CLASSES, SPEC)
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataError, match=r"s\.tar/a\.png: expected plain files in the shard"):
        as_split("train", path, CLASSES, SPEC)
    with pytest.raises(DataError, match=r"none\.tar: no such shard"):
        as_split("train", tmp_path / "none.tar", CLASSES, SPEC)
    with pytest.raises(DataError, match=r"braces such as \{000\.\.007\}"):
        as_split("train", tmp_path / "s-{9..0}.tar", CLASSES, SPEC)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield from zip(pictures(), LABELS)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Stream(), r"data\.train: got Stream; a stream has no length.*WebDataset"),
        (Rows([{"picture": 1, "label": 0}]), r"train\[0\]: expected an image under one of image, pixel_values"),
        (Rows([{"image": 1, "kind": 0}]), r"its keys are 'image', 'kind'"),
        (Rows([(1, 2, 3)]), r"train\[0\]: expected a pair \(image, label\), or a dict .*got tuple of 3"),
        (Rows([(pictures()[0], "catt")] * 2), r"train\[0\]: label 'catt' is none of .*did you mean 'cat'"),
        (Rows([(pictures()[0], 0.5)] * 2), r"train\[0\]: expected a label that is a class name or a whole number"),
        (Rows([(pictures()[0], [0, 1, 1])] * 2), r"train\[0\]: expected one label for the image, got 3.*one_per_label"),
        ((tensors(), np.eye(4, dtype=int)), r"train: expected one label for each image, got 4.*one_per_label"),
        ([("no.png", "cat"), ("no.png", "dog")], r"data\.train, row 1, column 'file': no\.png stands in row 0 too"),
        ([("no.png", "cat")], r"data\.train, row 0, column 'file': no such image, no\.png"),
        (pd.DataFrame({"a": [1], "b": [2]}), r"data\.train, line 1: no column for the file"),
        (pd.DataFrame({"file": [], "label": []}), r"data\.train: the DataFrame has no rows"),
        ((tensors(), [0, 1]), r"train: expected 4 integer labels, one per image"),
        (Rows([(torch.zeros(3, 8, 8, dtype=torch.int32), 0)] * 2), r"expected uint8 or float pixels, got int32"),
    ],
)
def test_what_is_no_layout_is_refused_with_what_is(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_split("train", value, CLASSES, SPEC).read(np.array([0]))


def test_one_label_of_a_vector_is_picked() -> None:
    rows = Rows([(picture, [1, k, 0]) for picture, k in zip(pictures(), LABELS)])
    check(rows, reading=Reading(columns={"label": 1}))
    with pytest.raises(DataError, match=r"data\.columns\.label = 3, but there are 3 labels"):
        check(rows, reading=Reading(columns={"label": 3}))


def test_every_label_of_a_multi_label_target_is_a_question_of_its_own() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    images, labels = tensors(), np.array([[0, 1, 0], [1, 1, 0], [1, 0, 1], [0, 0, 1]])
    targets = one_per_label("xray", net, {"validation": (images, labels)}, ("flat", "tall", "wide"))
    assert [target.name for target in targets] == ["xray-flat", "xray-tall", "xray-wide"]
    assert targets[1].classes == ("not tall", "tall")
    assert targets[2].split("validation").labels.tolist() == [0, 0, 1, 1]
    pixels = images.float() / 255
    expected = net(pixels).sigmoid()[:, 1].detach()
    torch.testing.assert_close(targets[1].logits(pixels).softmax(1)[:, 1], expected)
    with pytest.raises(DataError, match=r"validation: expected labels \(4, 3\) of 0 and 1"):
        one_per_label("xray", net, {"validation": (images, labels * 2)}, ("flat", "tall", "wide"))


def test_images_of_five_channels_in_memory() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(5 * 16, 2))
    target = AuditTarget.from_arrays("five", net, {"validation": (torch.rand(4, 5, 4, 4), LABELS)}, CLASSES)
    assert (target.input.channels, target.sample("validation")[0].shape) == (5, (4, 5, 4, 4))
    with pytest.raises(DataError, match=r"with 1 to 64 channels"):
        AuditTarget.from_arrays("many", net, {"validation": (torch.rand(4, 65, 4, 4), LABELS)}, CLASSES)


def test_an_audit_takes_images_of_five_channels() -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(5, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    images, labels = torch.rand(24, 5, 8, 8), np.arange(24) % 2
    target = AuditTarget.from_arrays("five", nn.Sequential(*layers), {"validation": (images, labels)}, CLASSES)
    catalogue = known_checks()
    asked = ("dataset.leakage", "fidelity.deconvnet", "padding.border_maximum")
    for name in asked:
        assert run_check(catalogue[name], target)
