"""Poor data get an answer or a reason, and asking leaves no trace."""

import numpy as np
import pytest
import torch
from asking import ask, make

CHECKS = (
    "class_imbalance",
    "constant_class",
    "contradictory_labels",
    "few_distinct",
    "label_signal",
    "leakage",
    "metadata_shortcut",
    "trivial_feature",
)
POOR = {
    "one image": make([0], classes=2),
    "two images": make([0, 1]),
    "one class": make([1] * 40, classes=2),
    "an empty class": make(np.arange(40) % 2, classes=3),
    "no training images": make(np.arange(40) % 2, splits=("validation",)),
    "no validation images": make(np.arange(40) % 2, splits=("train",)),
    "images of 2 x 2": make(np.arange(40) % 2, side=2),
    "images of 9 x 9": make(np.arange(40) % 2, side=9),
    "blank images": make(np.arange(40) % 2, images=np.zeros((40, 1, 12, 12), np.float32)),
    "wide color images": make(np.arange(40) % 2, images=np.zeros((40, 3, 10, 300), np.float32)),
    "200 classes": make(np.arange(400) % 200),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("data", POOR)
def test_poor_data_get_an_answer_or_a_reason(data, check):
    for found in ask(check, POOR[data]):
        assert found.summary
        if found.verdict == "not_applicable":
            assert found.statistic is None
            assert any(word in found.summary for word in ("two", "need", "no ", "not ", "smaller", "both"))


def test_asking_leaves_the_global_generators_alone():
    target = make(np.arange(300) % 3, side=16)
    np.random.seed(5)
    torch.manual_seed(5)
    states = (np.random.get_state()[1].copy(), torch.get_rng_state())
    first = [found.to_json() | {"seconds": 0} for check in CHECKS for found in ask(check, target)]
    again = [found.to_json() | {"seconds": 0} for check in reversed(CHECKS) for found in ask(check, target)]
    assert sorted(first, key=lambda f: f["check"]) == sorted(again, key=lambda f: f["check"])
    assert (np.random.get_state()[1] == states[0]).all()
    assert torch.equal(torch.get_rng_state(), states[1])
