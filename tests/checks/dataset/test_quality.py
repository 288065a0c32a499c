"""Poor pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from asking import make, one
from PIL import Image

from cnnaudit.checks.dataset._image_quality import KINDS, findings, measures
from cnnaudit.checks.dataset.quality import blurred, poor_digits
from cnnaudit.core.profiles import Profile
from cnnaudit.target.folders import folder


def pictures(n=40):
    """Noise over a gradient."""
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 0.5, 24)[None, None, None, :]
    return (slope + rng.uniform(0, 0.5, (n, 1, 24, 24))).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("flat", lambda x: x * 0 + 0.3),
        ("dark", lambda x: x * 0.1),
        ("bright", lambda x: 1 - x * 0.1),
        ("low contrast", lambda x: 0.45 + x * 0.1),
        ("blurred", blurred),
        ("little information", lambda x: np.where(x > 0.5, np.float32(0.8), np.float32(0.2))),
    ],
)
def test_each_kind_is_listed_and_nothing_else(kind, change):
    images = pictures()
    images[:3] = change(images[:3])
    found = findings(measures(torch.from_numpy(images)), {})
    assert found[kind].tolist() == [True] * 3 + [False] * 37
    for other in found:
        assert other == kind or not found[other][3:].any()


def test_where_all_are_alike_none_stands_apart():
    for change in (lambda x: x * 0.1, blurred, lambda x: 0.45 + x * 0.1):
        found = findings(measures(torch.from_numpy(change(pictures()))), {})
        assert not any(of.any() for of in found.values())


def test_measures_are_those_of_a_slow_definition():
    image = np.round(np.random.default_rng(0).random((3, 9, 7)) * 255).astype(np.float32) / 255
    found = {name: float(of[0]) for name, of in measures(torch.from_numpy(image[None])).items()}
    gray = image.mean(0)
    steps = np.concatenate([np.diff(gray, 2, axis=0).ravel(), np.diff(gray, 2, axis=1).ravel()])
    shares = np.unique(np.round(gray * 255), return_counts=True)[1] / gray.size
    assert found["sharpness"] == pytest.approx(np.sqrt((steps**2).mean()) / gray.std(), rel=1e-4)
    assert found["entropy"] == pytest.approx(-(shares * np.log2(shares)).sum(), rel=1e-4)
    assert found["range"] == pytest.approx(max(np.ptp(channel) for channel in image))


def test_odd_sizes_and_aspects_come_from_the_files(tmp_path):
    rng = np.random.default_rng(0)
    for k, size in enumerate([(40, 30)] * 10 + [(160, 120), (90, 13)]):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{k:02}.png")
    split = folder(tmp_path, size=(12, 12))
    target = replace(make(np.arange(24) % 2, channels=3), splits={"validation": split}, _cache={})
    found = one("quality", target)
    (table,) = (item for item in found.evidence if item.get("file") == "images.csv")
    listed = {row[0].split()[0].rpartition("/")[2]: row[1] for row in table["rows"]}
    assert {name: kinds.split(", ")[-1] for name, kinds in listed.items()} == {
        "10.png": "odd size",
        "11.png": "odd aspect",
    }


def test_the_list_names_image_kind_and_class():
    found = one("quality", poor_digits(0, blurred, 0.01))
    (table,) = (item for item in found.evidence if item.get("file") == "images.csv")
    assert found.verdict == "pass"
    assert found.statistic == len(table["rows"]) / found.n
    assert all(row[1] in KINDS and row[2] in ("train", "validation") for row in table["rows"])
    assert sum(place.statistic for place in found.locations) == len(table["rows"])


@pytest.mark.parametrize("labels", [np.repeat([0, 1], 2), np.zeros(5, int), np.arange(100)])
def test_small_and_lopsided_data_are_read(labels):
    found = one("quality", make(labels, classes=max(2, int(labels.max()) + 1)))
    assert found.statistic == 0


def test_of_a_large_split_a_sample_is_read():
    target = make(np.arange(600) % 2, side=4)
    found = one("quality", target, profile=Profile("quick", 1, 100))
    assert found.n == 1200  # 100,000 pixels of each split
