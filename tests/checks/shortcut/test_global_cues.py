"""The global cues: what counts as there and used, within a budget of forward passes."""

import numpy as np
import pytest
import torch

from cnnaudit.checks import family
from cnnaudit.checks.shortcut import _global
from cnnaudit.core.profiles import profile_named
from cnnaudit.target import AuditTarget, Claims

CHECKS = {check.id.partition(".")[2]: check for check in family("shortcut")}
GRAY = torch.tensor([0.5, 0.5, 0.5]).view(1, 3, 1, 1)


class Red(torch.nn.Module):
    """Calls reddish images class 1, others class 0 or 2 by the brightness of the left half; counts what it is asked."""

    asked = 0

    def __init__(self, uses=True):
        super().__init__()
        self.uses = uses

    def forward(self, images):
        Red.asked += len(images)
        gray = images.mean(dim=1)
        side = gray[:, :, :8].mean(dim=(1, 2)) - gray[:, :, 8:].mean(dim=(1, 2))
        red = (images[:, 0] - images[:, 2]).mean(dim=(1, 2)) - 0.1 if self.uses else torch.full_like(side, -1.0)
        return torch.stack([side, 10 * red, -side], dim=1) * 20


def target(uses=True, cast=0.2, n=60, classes=3, claims=()):
    rng = np.random.default_rng(0)
    splits = {}
    for split in ("train", "validation"):
        labels = np.arange(n * classes) % classes
        images = rng.uniform(0.3, 0.6, (len(labels), 3, 16, 16)).astype(np.float32)
        images[labels % 2 == 0, :, :, :8] += 0.1 * (1 - labels[labels % 2 == 0])[:, None, None, None]
        images[labels == 1] += cast * np.array([1, 0, -1], dtype=np.float32).reshape(3, 1, 1)
        splits[split] = (images.clip(0, 1), labels)
    names = tuple("abcdefgh"[:classes])
    return AuditTarget.from_arrays("red", Red(uses), splits, names, claims=Claims(independent_of=claims))


def test_a_cue_that_is_there_and_used_fails_and_names_the_class():
    Red.asked = 0
    found = CHECKS["color"](target())
    assert found.verdict == "fail" and found.statistic == 1 and found.locations[0].class_name == "b"
    assert "'b'" in found.hint and {item["kind"] for item in found.evidence} == {"table", "images"}
    assert Red.asked <= _global.PASSES


def test_a_cue_that_is_there_and_not_used_passes():
    found = CHECKS["color"](target(uses=False))
    assert found.verdict == "pass" and found.statistic == 0 and found.interval[1] > 0


def test_a_cue_that_is_used_and_not_there_passes():
    found = CHECKS["color"](target(cast=0.0))
    assert found.verdict == "pass" and found.interval == (0, 0)


def test_all_cues_together_keep_within_the_budget():
    Red.asked, one = 0, target()
    for name in ("color", "tone", "spectrum", "noise", "compression"):
        CHECKS[name](one)
    assert 0 < Red.asked <= _global.PASSES


@pytest.mark.parametrize("name", ["color", "tone", "spectrum", "noise", "compression", "file"])
def test_a_claim_makes_the_gate(name):
    assert CHECKS[name].is_gate(target(claims=(name,))) and not CHECKS[name].is_gate(target())


def test_classes_with_too_few_images_are_named_and_no_pass():
    whole = target(uses=False)
    kept = np.flatnonzero((whole.split("train").labels != 2) | (np.arange(180) < 9))
    splits = {s: (whole.split(s).read(kept), whole.split(s).labels[kept]) for s in whole.splits}
    found = CHECKS["color"](AuditTarget.from_arrays("few", Red(False), splits, whole.classes))
    assert found.verdict == "inconclusive" and found.interval[1] == 1 and "Not judged: 'c'" in found.summary


def test_gray_images_have_no_color_and_arrays_no_file_facts():
    images, labels = torch.rand(60, 1, 16, 16), np.arange(60) % 2
    data = {"train": (images, labels), "validation": (images, labels)}
    gray = AuditTarget.from_arrays("gray", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 2)), data, "ab")
    for name, reason in (("color", "no color"), ("file", "no files")):
        found = CHECKS[name](gray)
        assert found.verdict == "not_applicable" and reason in found.summary


def test_the_two_halves_share_no_image():
    whole = target()
    check = CHECKS["color"]
    context = _global.CheckContext(check, whole, 0.3, 0, profile_named("quick"), 0.95, False)
    for halves in _global._halves(context).values():
        assert not set(halves.there[0]) & set(halves.used[0])
        assert (np.bincount(halves.there[1]) - np.bincount(halves.used[1])).max() <= 1
