"""Availability of each class, and file facts as columns."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.cues import FileFacts, availability, letterbox_widths
from cnnaudit.cues.file_facts import name_prefixes


def columns(seed, shift=0.0, classes=10, n=60):
    rng = np.random.default_rng(seed)
    labels = np.arange(classes * n) % classes
    return rng.normal(size=(classes * n, 4)) + shift * (labels == 3)[:, None] * np.array([1, 0, 0, 0]), labels


def test_one_class_of_ten_does_not_drown():
    found = availability(columns(0, 12.0), columns(1, 12.0), np.random.default_rng(0))
    assert found.ranked()[0] == 3 and found.auc[3] > 0.95 and found.low[3] > 0.85
    clean = availability(columns(0), columns(1), np.random.default_rng(0))
    assert clean.auc.max() < 0.75 and clean.low.max() < 0.6


def test_it_is_the_lesser_auc_of_both_directions():
    splits = [columns(seed, 1.0) for seed in (0, 1)]
    found = availability(*splits, np.random.default_rng(0))
    expected = []
    for (a, la), (b, lb) in (splits, splits[::-1]):
        tree = DecisionTreeClassifier(
            max_leaf_nodes=6, min_samples_leaf=5, class_weight="balanced", random_state=0
        ).fit(a, la == 3)
        expected.append(roc_auc_score(lb == 3, tree.predict_proba(b)[:, 1]))
    assert found.auc[3] == pytest.approx(min(expected), abs=0.03)


def test_one_class_is_refused():
    features, labels = columns(0)
    with pytest.raises(UnsupportedError, match="0 have at least 5 images"):
        availability((features, labels * 0), (features, labels * 0), np.random.default_rng(0))


def test_file_facts_are_columns():
    facts = FileFacts.of({"size": np.array([1.5, np.nan, 3]), "mode": np.array(["RGB", "L", "RGB"])})
    assert facts.columns == ("size", "mode: RGB", "mode: L")
    read = facts.read({"size": np.array([np.nan, 2.0]), "mode": np.array(["L", "CMYK"])})
    assert read.tolist() == [[-1, 0, 1], [2, 0, 0]]
    with pytest.raises(DataError, match="missing: \\['mode'\\]"):
        facts.read({"size": np.array([1.0])})
    assert name_prefixes(["DSC_1.jpg", "a b.png", "7.png"]).tolist() == ["DSC", "a", ""]


def test_letterbox_widths():
    images = torch.rand(3, 3, 20, 10, generator=torch.Generator().manual_seed(0))
    images[1, :, :5] = 0
    images[1, :, -2:] = 1
    images[2] = 0.4
    expected = torch.tensor([[0, 0, 0, 0], [0.25, 0.1, 0, 0], [1, 1, 1, 1]])
    torch.testing.assert_close(letterbox_widths(images), expected)
