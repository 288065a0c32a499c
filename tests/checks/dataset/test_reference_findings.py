"""What España (2021) found in the four datasets, and what ordinary data show."""

import pytest
from asking import one

from cnnaudit.checks import real
from cnnaudit.checks.dataset._clean_targets import DIGITS, fitted_target, photograph_splits
from cnnaudit.checks.readout import readout
from cnnaudit.data import reference
from cnnaudit.target import AuditTarget

needs_data = pytest.mark.skipif(not real.names(), reason=f"set {real.FOLDER} to the folder of mnist.npz")

EXPECTED = {
    "constant_class": {"2.1"},
    "few_distinct": {"1.3", "2.1"},
    "contradictory_labels": set(),
    "leakage": {"1.3", "2.1"},
    "trivial_feature": {"2.1", "4.0"},
    "class_imbalance": set(),
    "label_signal": set(),
}


@pytest.fixture(scope="module", params=["1.3", "2.1", "3.0", "4.0"])
def thesis(request):
    """The number of a dataset of the thesis, and a target of it with a model that is good at it."""
    parts = {split: reference(request.param, split, n_per_class=400) for split in ("train", "validation")}
    model = readout(parts["train"].images, parts["train"].labels, 3)
    arrays = {split: (part.images, part.labels) for split, part in parts.items()}
    return request.param, AuditTarget.from_arrays(request.param, model, arrays, parts["train"].classes)


@pytest.mark.parametrize("check", EXPECTED)
def test_the_findings_of_the_thesis(thesis, check):
    number, target = thesis
    found = one(check, target)
    assert found.verdict == ("fail" if number in EXPECTED[check] else "pass"), (found.summary, found.interval)


def test_what_is_wrong_with_turned_circles_is_named(thesis):
    number, target = thesis
    if number != "2.1":
        pytest.skip("about dataset 2.1")
    constant = one("constant_class", target)
    assert constant.statistic == 0
    assert [place.class_name for place in constant.locations] == ["circle"]
    assert constant.evidence[0]["kind"] == "images"
    assert one("few_distinct", target).locations[0].class_name == "circle"
    assert one("leakage", target).statistic == 1


@needs_data
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("check", EXPECTED)
def test_real_data_pass(name, check):
    if (name, check) == ("cifar10", "leakage"):
        pytest.skip("CIFAR-10 has copies")
    assert one(check, fitted_target(name, photograph_splits(1, name), DIGITS)).verdict == "pass"
