"""Clusters of features against the classes: features made by hand, backgrounds, and bad input."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import nn

from cnnaudit.checks.separability.clusters import clusters as check_clusters
from cnnaudit.target import AuditTarget

RNG = np.random.default_rng(0)


def target(pixels, labels, model=None, channels=1, classes=("a", "b", "c")):
    """A target whose features are the first pixels of its images."""
    images = np.zeros((len(labels), channels, 8, 8), dtype=np.float32)
    images[:, 0, 4, : pixels.shape[1]] = pixels
    model = model or nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, len(classes)))
    return AuditTarget.from_arrays("features", model, {"validation": (images, labels)}, classes)


LABELS = np.tile(np.arange(3), 60)
CLEAR = np.eye(3)[LABELS] * 0.8 + RNG.uniform(0, 0.1, (180, 3))


def test_features_that_are_the_class_agree_entirely():
    found = check_clusters(target(CLEAR, LABELS))
    assert found.statistic == 1 and found.interval == (1, 1) and found.p_value == 1 / 1001
    assert found.n == 180 and not found.gate


def test_the_statistic_is_the_index_of_the_clusters_in_the_table():
    noisy = np.clip(CLEAR + RNG.normal(0, 0.35, CLEAR.shape), 0, 1)
    found = check_clusters(target(noisy, LABELS))
    rows = next(item for item in found.evidence if item["kind"] == "table")["rows"]
    pairs = [(row[0], k) for row in rows for k, count in enumerate(row[1:]) for _ in range(count)]
    clusters, labels = np.array(pairs).T
    assert found.statistic == pytest.approx(adjusted_rand_score(labels, clusters))
    assert 0 < found.interval[0] < found.statistic < found.interval[1] < 1


def test_features_that_only_know_the_background_do_not_agree():
    white = np.arange(600) % 2
    features = white[:, None] + np.random.default_rng(1).uniform(0, 0.1, (600, 2))
    images = np.zeros((600, 1, 8, 8), np.float32)
    images[:, 0] = white[:, None, None]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    labels = np.repeat(np.arange(3), 200)
    images[:, 0, 4, 3:5] = features / 2
    found = check_clusters(AuditTarget.from_arrays("b", model, {"validation": (images, labels)}, ("a", "b", "c")))
    assert found.verdict == "fail" and abs(found.statistic) < 0.05
    agreement = {row[0]: row[2] for item in found.evidence if item["title"] == "Agreement" for row in item["rows"]}
    assert agreement["classes x backgrounds"] > 0.15  # which the background alone explains


@pytest.mark.parametrize("polarity", [False, True])
def test_photographs_have_no_background_to_be_told_apart_by(polarity):
    """Bright and dark images of busy borders; only a column of the data says that there are two backgrounds."""
    rng = np.random.default_rng(2)
    bright = np.arange(120) % 2
    images = np.clip(rng.uniform(-0.6, 0.6, (120, 1, 8, 8)) + np.array([0.3, 0.7])[bright][:, None, None, None], 0, 1)
    labels = np.repeat(np.arange(3), 40)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    data = {"validation": (images.astype(np.float32), labels)}
    columns = {"validation": {"polarity": np.array(["dark", "bright"])[bright]}} if polarity else None
    asked = AuditTarget.from_arrays("photographs", model, data, ("a", "b", "c"), columns)
    found = check_clusters(asked)
    assert ("background" in found.summary) is polarity
    assert any(item["title"] == "Agreement" for item in found.evidence) is polarity


def test_color_images_and_a_model_with_many_features():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 300), nn.ReLU(), nn.Linear(300, 3))
    torch.manual_seed(0)
    found = check_clusters(target(CLEAR, LABELS, model, channels=3))
    assert found.statistic > 0.5 and found.verdict == "pass"


def test_constant_features_agree_with_nothing():
    found = check_clusters(target(np.zeros((60, 3)), LABELS[:60]))
    assert found.verdict == "fail" and found.statistic == 0
    assert not any("Inertia" in item["title"] for item in found.evidence)


class ConvolutionOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(1, 3, 3)

    def forward(self, images):
        return self.head(images).mean((2, 3))


@pytest.mark.parametrize(
    ("labels", "model", "reason"),
    [
        (np.zeros(20, int), None, "all 20 images are of one class"),
        (np.arange(3), None, "no class has two images"),
        (LABELS[:30], ConvolutionOnly(), "neither in a linear layer nor in a 1x1 convolution"),
    ],
)
def test_what_cannot_be_asked_is_not_applicable(labels, model, reason):
    found = check_clusters(target(RNG.uniform(size=(len(labels), 3)), labels, model))
    assert found.verdict == "not_applicable" and reason in found.summary


def test_one_feature_and_few_images():
    found = check_clusters(target(RNG.uniform(size=(4, 1)), np.array([0, 0, 1, 1]), classes=("a", "b")))
    assert found.verdict in ("inconclusive", "fail", "pass") and -1 <= found.statistic <= 1


def test_of_large_images_every_second_one_of_each_class_is_looked_at():
    images = np.zeros((40, 1, 132, 132), dtype=np.float32)
    labels = np.repeat([0, 1], [24, 16])
    images[:, 0, :66] = labels[:, None, None] * 0.4
    model = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4, 2))
    found = check_clusters(AuditTarget.from_arrays("large", model, {"validation": (images, labels)}, ("a", "b")))
    assert found.n == 20 and found.statistic == 1
    rows = next(item for item in found.evidence if item["kind"] == "table")["rows"]
    assert [row[1:] for row in rows] == [[12, 0], [0, 8]]
