"""A tag at a fixed place is there, and used."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from cnnaudit.checks.shortcut._plants import planted, tag, watermark
from cnnaudit.checks.shortcut._samples import PASSES
from cnnaudit.checks.shortcut._verdict import judge_use
from cnnaudit.checks.shortcut.patch import patch
from cnnaudit.checks.shortcut.place import place
from cnnaudit.core.statistics import gate_confidence
from cnnaudit.cues import Effect, Excess, Found
from cnnaudit.target import AuditTarget

CONFIDENCE = gate_confidence(18)
CENTER = partial(tag, offset=None)


class Counting(torch.nn.Module):
    """A model that counts the images that it is asked for."""

    def __init__(self, model):
        super().__init__()
        self.model, self.passes = model, 0

    def forward(self, images):
        self.passes += len(images)
        return self.model(images)


@pytest.fixture(scope="module")
def tagged():
    return planted(0, CENTER)


def test_a_tag_is_named_with_its_place_its_class_and_numbers(tagged):
    counting = Counting(tagged.model)
    found = place(replace(tagged, model=counting), confidence=CONFIDENCE)
    assert found.verdict == "fail" and found.gate
    assert counting.passes <= PASSES["quick"]
    assert found.summary.startswith("A pattern at rows 14 to 1") and "is in 100% of class 'circle'" in found.summary
    assert "giving it to other images turns" in found.summary and "without it" in found.summary
    assert [location.class_name for location in found.locations] == ["circle"]
    kinds = [item["kind"] for item in found.evidence]
    assert kinds[:2] == ["images", "images"] and kinds[-2:] == ["heat_map", "table"]
    captions = [item["caption"] for item in found.evidence[1]["images"]]
    assert all("predicted" in caption for caption in captions)
    rows = {row[0]: row for row in found.evidence[-1]["rows"]}
    assert rows["circle"][-1] == "there and used" and rows["square"][-1] == "cleared by constancy"


def test_a_tag_that_the_model_does_not_know_or_that_all_classes_have_is_no_failure(tagged):
    unused = place(planted(0, CENTER, used=False), confidence=CONFIDENCE)
    assert unused.verdict != "fail"
    everywhere = place(planted(0, CENTER, every_class=True), confidence=CONFIDENCE)
    assert everywhere.verdict == "pass" and "No class has a pattern" in everywhere.summary


def test_a_watermark_anywhere_is_a_patch_and_no_place():
    target = planted(1, watermark)
    assert place(target, confidence=CONFIDENCE).verdict == "pass"
    found = patch(target, confidence=CONFIDENCE)
    assert found.verdict == "fail"
    assert "patch of 5 x 5 pixels is somewhere in" in found.summary and "class 'square'" in found.summary


def effect(value, low, high):
    return Effect("window", 0, value, low, high, value, 0.0, 0.0, value, 50, 50, 1.0)


@pytest.mark.parametrize(
    ("there", "expected"),
    [((0.8, 0.7, 0.9), (0.5, 0.4, 0.6)), ((0.4, 0.2, 0.5), (0.5, 0.0, 0.6)), ((0.1, 0.0, 0.2), (0.0, 0.0, 0.0))],
)
def test_a_class_fails_only_where_both_are_beyond_their_tolerance(there, expected):
    gained, lost = effect(0.1, 0.0, 0.2), effect(0.5, 0.4, 0.6)
    judged = judge_use(Found(0, Excess(*there, 0.9, 0.1), object(), gained, lost), 0.3)
    assert (judged.value, judged.low, judged.high) == expected


def target_of(images, labels, classes, answer):
    class Model(torch.nn.Module):
        def forward(self, x):
            return answer(x)

    parts = dict.fromkeys(("train", "validation"), (images, labels))
    return AuditTarget.from_arrays("poor", Model(), parts, [str(k) for k in range(classes)])


def chance(classes):
    return lambda x: torch.zeros(len(x), classes)


RANDOM = np.random.default_rng(0)
POOR = {
    "one class": (RANDOM.random((60, 1, 16, 16)), np.zeros(60, int), 2),
    "two images a class": (RANDOM.random((6, 1, 16, 16)), np.arange(6) % 3, 3),
    "smaller than a window": (RANDOM.random((200, 1, 3, 3)), np.arange(200) % 2, 2),
    "constant": (np.full((200, 1, 16, 16), 0.4), np.arange(200) % 2, 2),
    "a thousand classes": (RANDOM.random((1000, 1, 16, 16)), np.arange(1000), 1000),
    "color": (RANDOM.random((800, 3, 16, 16)), np.arange(800) % 2, 2),
}


@pytest.mark.parametrize("check", [place, patch], ids=str)
@pytest.mark.parametrize("name", POOR)
def test_poor_data_get_an_answer_or_a_reason(name, check):
    images, labels, classes = POOR[name]
    found = check(target_of(images.astype(np.float32), labels, classes, chance(classes)), confidence=CONFIDENCE)
    if name in ("constant", "color"):
        assert found.verdict == "pass"
    else:
        assert found.verdict == "not_applicable"
        assert "at least 50 training" in found.summary or "pixels" in found.summary


def test_a_model_at_chance_on_tagged_images_is_inconclusive(tagged):
    splits = {name: (part.read(np.arange(len(part.labels))), part.labels) for name, part in tagged.splits.items()}

    class Chance(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([1.0, 0.0, 0.0]).expand(len(x), 3)

    target = AuditTarget.from_arrays("chance", Chance(), splits, tagged.classes)
    found = place(target, confidence=CONFIDENCE)
    assert found.verdict == "inconclusive" and "every image of the search half is predicted" in found.summary


@pytest.mark.parametrize("seed", [2, 3])  # the networks of 0 and 1 answer to white centers, tagged or not
def test_a_tag_that_the_network_did_not_learn_is_no_failure(seed):
    found = place(planted(seed, partial(tag, offset=None, white=True), used=False), confidence=0.997)
    assert found.verdict in ("pass", "inconclusive")
