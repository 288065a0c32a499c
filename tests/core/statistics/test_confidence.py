"""Calibration statistics against slow definitions, torchmetrics and simulation."""

import numpy as np
import pytest

from cnnaudit.core.statistics.confidence import (
    best_temperature,
    calibration_error,
    confidence_gap,
    reliability,
    risk_at_coverage,
    softmax,
)


def drawn(n, seed=0, shift=0.0, a=6.0, b=2.0):
    """Confidences, and answers that are right with that probability less `shift`."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(a, b, n)
    return confidence, rng.random(n) < confidence - shift


def slow_error(confidence, right, bins, norm, debias):
    total = 0.0
    for k in range(bins):
        members = [i for i, c in enumerate(confidence) if k / bins < c <= (k + 1) / bins or (k == 0 and c == 0)]
        if not members:
            continue
        accuracy = sum(right[i] for i in members) / len(members)
        gap = abs(accuracy - sum(confidence[i] for i in members) / len(members))
        if norm == "l1":
            total += len(members) / len(right) * gap
        elif not debias:
            total += len(members) / len(right) * gap**2
        elif len(members) > 1:
            total += len(members) / len(right) * (gap**2 - accuracy * (1 - accuracy) / (len(members) - 1))
    return total if norm == "l1" else max(total, 0) ** 0.5


@pytest.mark.parametrize(("norm", "debias"), [("l1", False), ("l2", False), ("l2", True)])
@pytest.mark.parametrize(("n", "shift"), [(7, 0.0), (400, 0.0), (400, 0.3)])
def test_errors_are_their_definitions(n, shift, norm, debias):
    confidence, right = drawn(n, shift=shift)
    expected = slow_error(confidence, right, 10, norm, debias)
    assert calibration_error(confidence, right, 10, norm, debias) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("norm", "debias"), [("l1", False), ("l2", False), ("l2", True)])
def test_errors_are_those_of_torchmetrics(norm, debias):
    module = pytest.importorskip("torchmetrics.functional.classification.calibration_error")
    import torch

    # every bin holds at least two images: torchmetrics leaves the bias of one image in
    confidence, right = drawn(2000, seed=1, shift=0.2, a=2.0, b=2.0)
    edges = torch.linspace(0, 1, 16, dtype=torch.float64)
    found = module._ce_compute(torch.tensor(confidence), torch.tensor(right).double(), edges, norm=norm, debias=debias)
    assert calibration_error(confidence, right, 15, norm, debias) == pytest.approx(float(found), abs=1e-6)


def test_debiasing_takes_away_what_few_images_add():
    squares = {True: [], False: []}
    for seed in range(200):
        for debias in squares:
            squares[debias].append(calibration_error(*drawn(300, seed), 15, "l2", debias) ** 2)
    assert np.mean(squares[False]) > 0.004 and np.mean(squares[True]) < 0.0015


def test_debiasing_is_refused_where_it_has_no_form():
    with pytest.raises(ValueError, match="debias = False"):
        calibration_error(*drawn(10), norm="l1")


def test_edges_of_bins_belong_below():
    found = reliability(np.array([0.0, 0.5, 0.500001, 1.0]), np.array([True, False, True, True]), bins=2)
    assert found.images.tolist() == [2, 2] and found.accuracy.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("a_b", [(3.0, 2.5), (60.0, 0.6)])
@pytest.mark.parametrize("level", [0.95, 1 - 0.05 / 16])
def test_the_interval_covers_a_calibrated_model(a_b, level):
    covered = 0
    for seed in range(300):
        _, (low, high) = confidence_gap(*drawn(150, seed, 0.0, *a_b), level)
        covered += low <= 0 <= high
    assert covered >= level * 300 - 3  # one standard deviation below is 296.3 at .95


def test_a_gap_of_one_image_is_anything():
    gap, (low, high) = confidence_gap(np.array([0.7]), np.array([True]))
    assert gap == pytest.approx(-0.3) and low == -1 and high >= 0.6


def test_risk_is_that_of_the_most_confident():
    confidence, right = drawn(100)
    order = sorted(range(100), key=lambda i: -confidence[i])
    expected = [sum(not right[i] for i in order[:k]) / k for k in (10, 50, 100)]
    assert risk_at_coverage(confidence, right, (0.1, 0.5, 1.0)) == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 4.0])
def test_the_temperature_is_found_again(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 5)) * 2
    labels = np.array([rng.choice(5, p=row) for row in softmax(logits)])
    assert best_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.06)
    losses = [-np.log(softmax(logits / t)[np.arange(4000), labels]).mean() for t in np.geomspace(0.5, 2, 61)]
    assert np.geomspace(0.5, 2, 61)[int(np.argmin(losses))] == pytest.approx(best_temperature(logits, labels), rel=0.03)


def test_large_logits_do_not_overflow():
    assert np.allclose(softmax(np.array([[1e4, 0.0], [0.0, 0.0]])), [[1, 0], [0.5, 0.5]])
    assert best_temperature(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 1])) > 0
