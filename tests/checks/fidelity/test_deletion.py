"""Deleting: how much, where and in what order; closed forms of what it takes away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.checks.fidelity import deletion as module
from cnnaudit.checks.fidelity._budget import LOOKS
from cnnaudit.checks.fidelity._evaluation_set import blurred
from cnnaudit.checks.fidelity.deletion import FRACTIONS, Deletion, deletion, deletion_curve, elsewhere, first_deleted

RNG = np.random.default_rng(0)


def test_the_blur_keeps_constant_images_and_loses_detail():
    assert torch.allclose(blurred(torch.full((1, 3, 16, 16), 0.4)), torch.tensor(0.4))
    image = torch.zeros(1, 1, 16, 16)
    image[..., ::2] = 1
    soft = blurred(image)
    assert abs(soft[..., 4:12, 4:12] - 0.5).max() < 0.02
    assert blurred(torch.rand(2, 3, 20, 30)).shape == (2, 3, 20, 30)


def test_the_most_attributed_cells_go_first():
    rows = np.array([[0.1, 0.9, 0.3, 0.7]])
    gone = first_deleted(rows, 0.5, (4, 4), (2, 2), RNG)
    expected = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]], dtype=torch.bool)
    assert torch.equal(gone[0, 0], expected)


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_share_of_the_cells_goes(fraction):
    gone = first_deleted(RNG.random((3, 400)), fraction, (40, 40), (20, 20), RNG)
    assert gone.flatten(1).float().mean(1).tolist() == pytest.approx([fraction] * 3)


def test_equal_cells_go_at_random():
    blank = np.zeros((200, 100))
    often = first_deleted(blank, 0.2, (10, 10), (10, 10), np.random.default_rng(1)).float().mean(0)[0]
    assert often.min() > 0.08 and often.max() < 0.34


def test_a_linear_model_loses_what_stood_in_the_deleted_cells():
    """The probability is the mean brightness of the left half, which the blur makes darker."""
    images = torch.zeros(2, 1, 20, 20)
    images[..., :10] = 1
    left = np.tile(np.r_[np.ones(10), np.zeros(10)], 20)[None].repeat(2, 0)

    def probability(pixels):
        return pixels[..., :10].mean((1, 2, 3)).numpy()

    soft = probability(blurred(images))
    curve = deletion_curve(probability, images, left, (20, 20), np.random.default_rng(0))
    wrong = deletion_curve(probability, images, 1 - left, (20, 20), np.random.default_rng(0))
    assert (wrong == 1).all()
    assert np.all(np.diff(curve, axis=1) < 0)
    random = deletion_curve(probability, images, np.zeros((2, 400)), (20, 20), np.random.default_rng(0))
    found = Deletion(np.ones(2), soft, curve, random)
    # the left half is 200 of 400 cells: by the map the first ones cost twice what random ones do
    assert found.gain() == pytest.approx(float((random - curve).mean(1).sum() / (1 - soft).sum()))
    assert found.gain() > 0.15
    assert Deletion(np.ones(2), soft, wrong, random).gain() < 0
    assert Deletion(np.ones(2), soft, random, random).gain() == 0


def test_the_gain_is_a_share_of_what_can_be_removed():
    found = Deletion(np.array([1.0, 0.8]), np.array([0.5, 0.3]), np.full((2, 3), 0.6), np.full((2, 3), 0.7))
    assert found.gain() == pytest.approx(0.2 / 1.0)
    assert found.gain(np.array([0, 0])) == pytest.approx(0.2)


def test_a_map_elsewhere_is_the_same_map_at_least_a_quarter_away():
    rows = np.zeros((50, 64))
    rows[:, 27] = 1  # row 3, column 3 of 8
    moved = elsewhere(rows, (8, 8), np.random.default_rng(0))
    assert (moved.sum(1) == 1).all()
    row, column = np.divmod(moved.argmax(1), 8)
    for place in (row, column):
        away = (place - 3) % 8
        assert away.min() == 2 and away.max() == 6


def test_each_finding_shows_the_method_beside_both_baselines(lenet, few_methods):
    found = deletion(replace(lenet, _cache={}))
    assert [finding.part for finding in found] == list(few_methods[:3])
    titles = [[row[0] for row in finding.evidence[0]["rows"]] for finding in found]
    assert len(titles[0]) == len(few_methods)  # the first shows all of them
    assert all("Edge detector (baseline)" in rows and "Blank map (baseline)" in rows for rows in titles)
    assert all(len(rows) == 3 for rows in titles[1:])
    rows = {row[0]: row for row in found[0].evidence[0]["rows"]}
    assert abs(rows["Blank map (baseline)"][2]) < 0.05
    assert rows["Gradient"][2] > rows["Edge detector (baseline)"][2]


def test_a_model_that_answers_the_blur_alike_has_nothing_to_delete(few_methods, small, classifier):
    found = deletion(small(classifier(nn.AvgPool2d(12))))
    assert found.verdict == "not_applicable" and "blur" in found.summary


class Corner(nn.Module):
    """Sees nothing but the detail of the upper left corner, so that any map of it is right."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 2, 3, bias=False), nn.Linear(1, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[-1.0, 2.0, -1.0]]).expand(2, 1, 3, 3))
            self.last.weight.copy_(torch.tensor([[-20.0], [20.0]]))
            self.last.bias.copy_(torch.tensor([10.0, -10.0]))

    def forward(self, images):
        return self.last(self.conv(images[..., :24, :24]).relu().mean((2, 3))[:, :1])


def test_on_photographs_few_methods_are_asked_until_decided_and_the_rest_is_named(small):
    images = torch.rand(40, 1, 96, 96, generator=torch.Generator().manual_seed(0)).round()
    found = {finding.part: finding for finding in deletion(small(Corner(), images=images))}
    assert (found["gradient"].verdict, found["gradient"].n) == ("pass", LOOKS[0])  # decided at the first look
    for name in ("smooth_grad", "occlusion"):
        assert found[name].verdict == "not_applicable" and "not asked" in found[name].summary
        assert "--profile standard" in found[name].summary


def test_an_open_verdict_is_asked_on_more_images_and_pays_for_every_look(small, monkeypatch):
    images = torch.rand(40, 1, 96, 96, generator=torch.Generator().manual_seed(0)).round()
    asked = []

    def verdict(self, bounds):
        asked.append(self.confidence)
        return "inconclusive"

    monkeypatch.setattr(module.CheckContext, "verdict", verdict)
    found = {finding.part: finding for finding in deletion(small(Corner(), images=images), confidence=0.95)}
    assert found["gradient"].n == LOOKS[-1]
    judged = sum(finding.statistic is not None for finding in found.values())
    assert asked == [pytest.approx(1 - 0.05 / (judged * len(LOOKS)))] * len(asked)
