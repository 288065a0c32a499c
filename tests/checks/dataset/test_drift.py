"""Production told from validation."""

import numpy as np
import pytest
from asking import make, one

from cnnaudit.checks.dataset._clean_targets import plain_digits
from cnnaudit.checks.dataset._drift import distances, expected_accuracy
from cnnaudit.checks.dataset.drift import drifted_digits, halved
from cnnaudit.target import AuditTarget


def test_distances_are_those_of_a_slow_search():
    rng = np.random.default_rng(0)
    known, asked = rng.normal(size=(30, 3)) * [1, 5, 0], rng.normal(size=(4, 3))
    own, others = distances(known, asked)
    a, b = (((of - known.mean(0)) / [*known.std(0)[:2], 1])[:, :2] for of in (known, asked))
    for row, point in enumerate(b):
        assert others[row] == pytest.approx(np.sort(np.sqrt(((a - point) ** 2).sum(1)))[:5].mean())
    assert own[0] == pytest.approx(np.sort(np.sqrt(((a[1:] - a[0]) ** 2).sum(1)))[:5].mean())
    assert np.isfinite(distances(np.ones((10, 2)), asked[:, :2])[1]).all()


def test_the_promised_accuracy_is_right_where_confidence_means_the_same():
    rng = np.random.default_rng(0)

    def draw(n, power):
        sure = rng.random(n) ** power / 2 + 0.5
        return sure, rng.random(n) < sure

    known, there = draw(20_000, 0.5), draw(20_000, 0.5)
    found = expected_accuracy(*known, there[0], rng)
    assert found.accuracy == pytest.approx(there[1].mean(), abs=0.01)
    harder = draw(20_000, 2)
    assert expected_accuracy(*known, harder[0], rng).accuracy < found.accuracy - 0.1


def test_a_model_that_is_never_wrong_is_promised_to_stay_so():
    confidence = np.linspace(0.6, 1, 50)
    found = expected_accuracy(confidence, np.ones(50, bool), confidence - 0.3, np.random.default_rng(0))
    assert (found.accuracy, found.low, found.high) == (1, 1, 1)


def test_without_production_the_question_makes_no_sense():
    found = one("drift", make(np.arange(40) % 2))
    assert found.verdict == "not_applicable"
    assert "data.production" in found.summary


@pytest.mark.parametrize("labeled", [True, False])
def test_drift_is_found_with_labels_and_without(labeled):
    found = one("drift", drifted_digits(0, gain=0.7, share=1.0, labeled=labeled))
    assert found.verdict == "fail"
    assert ("measured" in found.summary.partition("there")[2][:12]) == labeled
    assert ("Production has no labels" in found.summary) != labeled
    assert one("drift", drifted_digits(0, gain=1.0, share=1.0, labeled=labeled)).verdict == "pass"


def test_images_of_another_kind_are_listed_as_far():
    target = halved(plain_digits(0))
    images = target.sample("production", None)[0].numpy()
    images[:5] = np.random.default_rng(0).random((5, *images.shape[1:]))
    parts = {
        "validation": tuple(of.numpy() for of in target.sample("validation", None)),
        "production": (images, None),
    }
    found = one("drift", AuditTarget.from_arrays("noisy", target.model, parts, target.classes))
    (table,) = (item for item in found.evidence if item.get("file") == "far.csv")
    assert {row[0] for row in table["rows"][:5]} == {f"production[{k}]" for k in range(5)}


def test_few_production_images_are_refused_with_the_key():
    target = make(np.arange(40) % 2)
    images, labels = (of.numpy() for of in target.sample("validation", None))
    parts = {"validation": (images, labels), "production": (images[:3], None)}
    found = one("drift", AuditTarget.from_arrays("few", target.model, parts, target.classes))
    assert found.verdict == "not_applicable"
    assert "3 in data.production" in found.summary
