"""What a column of metadata says about the label."""

import numpy as np
import pytest
from asking import ask, make, one

from cnnaudit.checks.dataset.metadata_shortcut import ask_column, comparable, is_numeric, predict_label, unusable


def test_a_category_suggests_the_class_it_over_represents():
    labels = np.repeat([0, 1], [90, 10])
    site = np.array(["a"] * 80 + ["b"] * 10 + ["b"] * 10)  # at b half are of the rare class
    assert predict_label(site, labels, np.array(["a", "b", "never seen"]), 2).tolist() == [0, 1, 0]


def test_numbers_are_cut_by_size_and_missing_ones_are_a_value():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    value = labels * 10 + rng.random(200)
    value[labels == 1] = np.nan
    assert is_numeric(value)
    assert predict_label(value, labels, np.array([0.5, np.nan]), 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (np.arange(60), "identifier"),
        (np.array([f"patient {k}" for k in range(60)]), "identifier"),
        (np.zeros(60), "same value"),
        (np.full(60, np.nan), "same value"),
    ],
)
def test_identifiers_and_constants_are_not_asked(column, reason):
    assert reason in unusable(column)


@pytest.mark.parametrize("column", [np.arange(60) / 7, np.arange(60) % 9, np.array(["x", "y"] * 30)])
def test_measurements_and_categories_are_asked(column):
    assert unusable(column) == ""


def test_a_column_read_as_numbers_here_and_text_there_becomes_text():
    train, validation = comparable(np.array([1, 2]), np.array(["1", "b"]))
    assert train.tolist() == ["1", "2"]
    assert validation.dtype.kind == "U"
    assert comparable(np.array(["a", None], dtype=object))[0].tolist() == ["a", "None"]


def test_with_one_split_each_half_is_predicted_from_the_other():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    groups = np.arange(400) // 4  # each value occurs four times, twice with each label: nothing to learn
    assert np.mean(ask_column(None, (groups, labels), 2, rng) == labels) < 0.6
    assert np.mean(ask_column(None, (labels.astype(str), labels), 2, rng) == labels) == 1


def test_columns_are_asked_one_by_one_and_identifiers_are_not():
    labels = np.arange(600) % 2
    rng = np.random.default_rng(0)
    metadata = {
        split: {
            "scanner": np.array(["old", "new"])[labels],
            "age": rng.normal(60, 10, 600),
            "file number": np.arange(600),
            "hospital": np.array(["north"] * 600),
        }
        for split in ("train", "validation")
    }
    found = {
        f.check.partition("[")[2].rstrip("]"): f for f in ask("metadata_shortcut", make(labels, metadata=metadata))
    }
    verdicts = {name: finding.verdict for name, finding in found.items()}
    assert verdicts == {
        "scanner": "fail",
        "age": "pass",
        "file number": "not_applicable",
        "hospital": "not_applicable",
    }
    assert found["scanner"].statistic == 1
    assert "identifier" in found["file number"].summary


def test_metadata_of_one_split_is_enough():
    labels = np.arange(600) % 2
    target = make(labels, metadata={"validation": {"site": np.array(["a", "b"])[labels]}})
    assert one("metadata_shortcut", target).verdict == "fail"
