"""One changed pixel: planted networks that one pixel decides, or none."""

import pytest
import torch
from torch import nn

from cnnaudit.studies import single_pixel as study
from cnnaudit.studies.study import Effort


class OnePixel(nn.Module):
    """Class 1 where pixel (2, 3) is bright."""

    def forward(self, images):
        bright = images[:, 0, 2, 3] - 0.5
        return torch.stack((-bright, bright), 1)


class Blind(nn.Module):
    def forward(self, images):
        return torch.stack((images.flatten(1).sum(1) * 0 + 1, images.flatten(1).sum(1) * 0), 1)


@pytest.fixture
def images():
    return torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_network_of_one_pixel_is_flipped_everywhere_by_that_pixel(images):
    labels = OnePixel()(images).argmax(1)
    network, examples = study.searched(OnePixel(), images, labels)
    assert (network["flips"], network["images"], network["lost"], network["accuracy"]) == (10, 10, 10, 1.0)
    for example in examples:
        assert (example["row"], example["column"]) == (2, 3)
        assert example["color"] == example["after"]  # white for class 1, black for class 0
        assert example["before"] != example["after"]


def test_flips_of_wrong_answers_are_counted_but_not_as_lost(images):
    wrong = 1 - OnePixel()(images).argmax(1)
    network, _ = study.searched(OnePixel(), images, wrong)
    assert (network["flips"], network["lost"], network["accuracy"]) == (10, 0, 0.0)


def test_a_network_that_sees_nothing_is_flipped_nowhere(images):
    network, examples = study.searched(Blind(), images, torch.zeros(10, dtype=torch.int64))
    assert (network["flips"], examples) == (0, [])


def test_the_same_seed_finds_the_same(images):
    labels = torch.zeros(10, dtype=torch.int64)
    assert study.searched(OnePixel(), images, labels, seed=3) == study.searched(OnePixel(), images, labels, seed=3)


def test_a_reference_target_and_its_examples():
    effort = Effort(seeds=2, epochs=1, train=4, validation=2)
    rows = study.run({"source": "target", "name": "shapes-2.1-rotation"}, effort)
    assert rows[0]["images"] == 6 and rows[0]["pooling"] == "max"
    assert set().union(*rows) <= set(study.SINGLE_PIXEL.columns)
    examples = [row for row in rows if row["kind"] == "example"]
    assert len(examples) == min(rows[0]["flips"], study.EXAMPLES)
    before, after = study.example_images(examples[0])
    changed = (before != after).nonzero().tolist()
    assert changed == [[0, examples[0]["row"], examples[0]["column"]]]
    said = study.findings(rows)
    assert f"flips the class of {rows[0]['flips']} of 6 images" in said[1]


def test_networks_trained_anew():
    effort = Effort(seeds=2, epochs=1, train=8, validation=1)
    rows = study.run({"source": "trained", "name": "2.1", "pooling": "average"}, effort)
    assert [row["seed"] for row in rows] == [0, 1]
    assert all(row["images"] == 3 for row in rows)


def test_without_a_checkout_the_targets_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {task["source"] for task in study.tasks(Effort(2, 1, 1, 1))} == {"trained"}
