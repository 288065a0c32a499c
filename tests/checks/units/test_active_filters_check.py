"""`units.active_filters`: what the finding shows, ordinary networks pass, and what cannot be judged."""

import numpy as np
import pytest
import torch

from cnnaudit.checks.populations import build
from cnnaudit.checks.units.active_filters import active_filters as check_active_filters
from cnnaudit.checks.units.active_filters import loud_filters
from cnnaudit.models import minimum
from cnnaudit.target import AuditTarget


@pytest.mark.parametrize("seed", [0, 7])
def test_ordinary_networks_pass_whatever_the_rank_correlation(seed):
    finding = check_active_filters(build("digits", seed))
    assert finding.verdict == "pass" and finding.statistic > 0.6


def test_where_no_filter_tells_a_class_it_is_not_applicable():
    built = loud_filters(0)
    images, labels = (values.numpy() for values in built.sample("validation"))
    shuffled = {"validation": (images, np.random.default_rng(0).permutation(labels))}
    finding = check_active_filters(AuditTarget.from_arrays("t", built.model, shuffled, built.classes))
    assert finding.verdict == "not_applicable" and "no filter of layer" in finding.summary


def test_loud_and_quiet_filters_answer_the_same():
    defect, twin = loud_filters(3, informative=False), loud_filters(3, informative=True)
    images = defect.split("validation").read(np.arange(50))
    assert torch.equal(images, twin.split("validation").read(np.arange(50)))
    torch.testing.assert_close(defect.logits(images), twin.logits(images), rtol=1e-3, atol=1e-3)


def test_the_finding_shows_filters_boxplots_and_classes():
    finding = check_active_filters(loud_filters(0, informative=False))
    assert (
        abs(finding.statistic) < 1e-9
        and "active on a class tell it from the rest with an AUC of 0.50" in finding.summary
    )
    assert "rank correlation of activity and AUC over the filters: -0." in finding.summary
    table, norms, most, _, classes, null = finding.evidence
    assert [item["kind"] for item in finding.evidence] == [
        "table",
        "boxes",
        "boxes",
        "boxes",
        "bars",
        "null_distribution",
    ]
    assert table["rows"][0][1] == 1.0 and table["rows"][0][2] == 0.5 and table["rows"][0][3] == 0.0
    assert table["rows"][-1][1] == 0.0 and table["rows"][-1][2] > 0.6 and table["rows"][-1][3] > 0.05
    assert len(norms["values"]) == 24 and len(most["values"]) == len(classes["values"]) == 4
    assert [place.class_name for place in finding.locations] == list(classes["values"])
    assert null["observed"] == finding.statistic


def test_the_same_seed_gives_the_same_finding():
    one, two = (check_active_filters(loud_filters(1), seed=5) for _ in range(2))
    assert one.interval == two.interval and one.evidence == two.evidence


def random_target(model, n=40, classes=2, shape=(1, 28, 28)):
    images = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))
    labels = np.arange(n) % classes
    return AuditTarget.from_arrays(
        "t", model, {"validation": (images, labels)}, classes=[str(k) for k in range(classes)]
    )


def test_too_few_filters_classes_or_convolutions_are_not_applicable():
    finding = check_active_filters(random_target(minimum(filters=1, classes=2)))
    assert finding.verdict == "not_applicable" and "has 1 filter, a rank correlation needs 6" in finding.summary
    finding = check_active_filters(random_target(minimum(filters=8, classes=30), n=60, classes=30))
    assert finding.verdict == "not_applicable" and "fewer than two classes have 5 images" in finding.summary
    dense = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 2))
    assert check_active_filters(random_target(dense)).verdict == "not_applicable"


def test_a_network_without_relu_has_no_column_of_reconstructions():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3),
        torch.nn.SiLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 4),
    )
    built = loud_filters(0)
    split = {"validation": tuple(values.numpy() for values in built.sample("validation"))}
    finding = check_active_filters(AuditTarget.from_arrays("t", model.eval(), split, built.classes))
    assert finding.verdict != "not_applicable" and len(finding.evidence[0]["columns"]) == 3
