"""Which corrupted images are asked, and what is made of the answers."""

import numpy as np
import pytest
import torch

from cnnaudit.checks.behavior.corruption import ask, chance, corruption, positions, tagged
from cnnaudit.checks.behavior.corruption_figures import by_corruption
from cnnaudit.checks.context import CheckContext
from cnnaudit.core.profiles import profile_named
from cnnaudit.core.statistics import generator, proportion_interval
from cnnaudit.corruptions import CORRUPTIONS, SEVERITIES
from cnnaudit.target import Claims


def test_every_image_is_asked_about_equally_often():
    chosen = positions(500, 75, 1_000, generator("positions"))
    assert {len(part) for part in chosen} == {13} and all(len(set(part)) == 13 for part in chosen)
    counts = np.bincount(np.concatenate(chosen), minlength=500)
    assert counts.min() >= 1 and counts.max() <= 2 and counts.sum() == 975
    assert all(part.tolist() == list(range(5)) for part in positions(5, 75, 1_000, generator("few")))
    assert all(part.tolist() == list(range(40)) for part in positions(40, 75, None, generator("all")))


def test_chance_is_the_accuracy_of_independent_guesses():
    rng = generator("chance")
    labels, predicted = rng.integers(4, size=300), rng.integers(3, size=300)
    slow = np.mean([labels[i] == predicted[j] for i in range(300) for j in range(300)])
    assert chance(labels, predicted, 4) == pytest.approx(slow)
    assert chance(labels, np.zeros(300, int), 4) == pytest.approx((labels == 0).mean())


class Constant(torch.nn.Module):
    """Right on images whose first pixel is untouched, else always the first class."""

    def __init__(self, k):
        super().__init__()
        self.k = k

    def forward(self, images):
        level = images[:, 0, 0, 0] * (self.k - 1)
        right = torch.nn.functional.one_hot(level.round().long().clamp(0, self.k - 1), self.k).float()
        first = torch.nn.functional.one_hot(torch.zeros(len(images), dtype=torch.long), self.k).float()
        return torch.where(((level - level.round()).abs() < 1e-6)[:, None], right, first)


def test_what_is_kept_is_above_chance(make):
    labels = np.arange(300) % 3
    found = corruption(make(labels, k=3, size=16, model=Constant(3)))
    assert found.verdict != "pass" and 0 < found.statistic < 0.35 and "Of an accuracy of 1.000" in found.summary
    assert "975 corrupted images" in found.summary and not found.gate and found.n == 300


def test_a_claim_is_about_the_accuracy_itself(make):
    target = make(np.arange(300) % 3, k=3, size=16, model=Constant(3), claims=Claims(corruption_accuracy=0.7))
    found = corruption(target, confidence=0.99)
    assert found.gate and found.tolerance == 0.7 and found.statistic_name == "mean accuracy under corruption"
    n, share = found.n, found.statistic
    assert found.interval == proportion_interval(round(share * n), n, 0.99) and found.verdict == "fail"


def test_standard_asks_every_image_of_every_corruption(make):
    target = make(np.arange(20) % 2, size=8)
    seen, inner = [0], target.model.forward
    target.model.forward = lambda images: (seen.__setitem__(0, seen[0] + len(images)), inner(images))[1]
    corruption(target, profile="standard")
    assert seen[0] == 20 + 75 * 20
    other = make(np.arange(500) % 2, size=8, model=target.model)
    seen[0] = 0
    corruption(other)
    assert seen[0] == 500 + 975


def test_rows_are_the_accuracies_of_the_worst_first(make):
    labels = np.arange(60) % 2
    target = make(labels, size=8)
    context = CheckContext(corruption, target, 0.3, 0, profile_named("quick"), 0.95, False)
    found = ask(context, target.sample("validation")[0], labels, np.ones(60, dtype=bool))
    correct = found.predicted == labels[found.image]
    rows = by_corruption(found, correct, 0.95)
    assert {row.name for row in rows} == set(CORRUPTIONS) and rows == sorted(rows, key=lambda row: row.accuracy)
    for row in rows:
        own = [k for k in range(len(correct)) if found.name[k] == row.name]
        assert row.accuracy == pytest.approx(np.mean(correct[own])) and row.images == len({found.image[k] for k in own})
        for severity, value in zip(SEVERITIES, row.by_severity):
            assert value == pytest.approx(np.mean([correct[k] for k in own if found.severity[k] == severity]))
        for row_at, severity, image, answer in found.examples[row.name]:
            assert answer != labels[row_at] and severity in SEVERITIES and image.shape == (1, 8, 8)


def test_images_that_cannot_be_corrupted_are_refused(make):
    found = corruption(make(np.arange(60) % 2, size=7))
    assert found.verdict == "not_applicable" and "at least 8 x 8 pixels, these have 7 x 7" in found.summary


def test_a_model_at_chance_has_nothing_to_keep(make):
    labels = np.arange(100) % 2
    found = corruption(make(labels, 1 - labels))
    assert found.verdict == "not_applicable" and "no accuracy to keep" in found.summary


def test_two_images_a_class_are_asked_and_decide_nothing(make):
    assert corruption(make(np.array([0, 0, 1, 1]), size=16, model=Constant(2))).verdict in ("inconclusive", "fail")


def test_pictures_show_the_worst_corruption():
    found = corruption(tagged(0, 5, by_tag=True))
    title = next(item["title"] for item in found.evidence if item["kind"] == "images")
    worst = next(item for item in found.evidence if item["kind"] == "table")["rows"][0][0]
    assert title == f"Images lost to {worst}" and worst in found.summary
