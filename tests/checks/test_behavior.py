"""The behavior checks: planted defects fail, their twins pass, and what the edges of the data do."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.checks import behavior
from cnnaudit.checks.registry import Check
from cnnaudit.core.errors import ModelError
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import gate_confidence, proportion_interval
from cnnaudit.target import AuditTarget, Claims

CHECKS = {item.id: item for item in vars(behavior).values() if isinstance(item, Check)}
EVERYTHING = Claims(0.5, rotation_degrees=20, translation_pixels=1, scale=1.2, noise=0.1, polarity=True)
SEED = 1


def ask(check, target, **settings):
    found = CHECKS[f"behavior.{check}"](target, **settings)
    return [found] if isinstance(found, Finding) else found


def make(labels, logits=None, channels=1, size=8, **settings):
    """A target whose model answers the given logits (by default the labels' own), written into the images."""
    labels = np.asarray(labels)
    k = settings.pop("k", int(labels.max()) + 1)
    answers = np.eye(k)[labels] if logits is None else np.asarray(logits)
    images = np.random.default_rng(0).random((len(labels), channels, size, size), dtype=np.float32)
    images[:, 0, 0, 0] = answers.argmax(1) / max(k - 1, 1)

    class Model(nn.Module):
        def forward(self, x):
            return -10 * (x[:, :1, 0, 0] - torch.linspace(0, 1, k)).abs()

    model = settings.pop("model", Model())
    metadata = settings.pop("metadata", None)
    return AuditTarget.from_arrays(
        "made",
        model,
        {"validation": (images, labels)},
        classes=[f"class {i}" for i in range(k)],
        metadata={"validation": metadata} if metadata else None,
        **settings,
    )


def predicting(labels, predicted, **settings):
    k = settings.pop("k", int(max(np.max(labels), np.max(predicted))) + 1)
    return make(labels, np.eye(k)[predicted], k=k, **settings)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_planted_defects_fail_and_their_twins_pass(plant):
    check = CHECKS[plant.check]
    confidence = gate_confidence(16 if check.gate else 1)
    for build, verdict in ((plant.defect, "fail"), (plant.twin, "pass")):
        found = ask(plant.check.removeprefix("behavior."), build(SEED), seed=SEED, confidence=confidence)
        part = f"{plant.check}[{plant.part}]" if plant.part else plant.check
        assert [f.verdict for f in found if f.check == part] == [verdict], found[0].summary


@pytest.mark.parametrize("check", CHECKS)
def test_one_image_is_too_few(check):
    target = make([0], k=3, claims=EVERYTHING, metadata={"site": np.array(["a"])})
    (found,) = ask(check.removeprefix("behavior."), target)
    if check == "behavior.determinism":
        assert found.verdict == "pass"
    else:
        assert found.verdict == "not_applicable" and "1 image" in found.summary


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("k", [2, 30])
def test_every_check_is_asked_of_any_channels_and_classes(channels, k):
    labels = np.arange(120) % k
    target = make(labels, channels=channels, claims=EVERYTHING, metadata={"site": labels // 2 % 2})
    for check in CHECKS:
        first = ask(check.removeprefix("behavior."), target)
        again = ask(check.removeprefix("behavior."), target)
        strip = [{**f.to_json(), "seconds": 0} for f in first], [{**f.to_json(), "seconds": 0} for f in again]
        assert strip[0] == strip[1]


@pytest.mark.parametrize("check", CHECKS)
def test_a_model_that_raises_is_named_with_its_batch(check):
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("no such thing")

    target = make(np.arange(40) % 2, claims=EVERYTHING, metadata={"site": np.arange(40) // 20}, model=Broken())
    with pytest.raises(ModelError, match=r"ValueError on a batch of shape \(\d+, 1, 8, 8\): no such thing"):
        ask(check.removeprefix("behavior."), target)


# invariance


def test_without_claims_invariance_is_not_asked():
    (found,) = ask("invariance", make(np.arange(40) % 2))
    assert found.verdict == "not_applicable" and "claims.rotation_degrees" in found.summary


def test_each_claim_has_its_finding_and_its_part_of_the_error():
    found = ask("invariance", make(np.arange(200) % 2, claims=Claims(polarity=True, noise=0.001)), confidence=0.99)
    assert [f.check for f in found] == ["behavior.invariance[polarity]", "behavior.invariance[noise]"]
    assert [f.statistic for f in found] == [1.0, 0.0]
    assert found[0].interval == proportion_interval(200, 200, 1 - 0.01 / 2)
    assert found[0].summary.startswith("200 of 200 predictions change") and "1.000 to 0.000" in found[0].summary
    shown = next(item for item in found[0].evidence if item["kind"] == "images")["images"]
    assert len(shown) == 6 and not any(item["kind"] == "images" for item in found[1].evidence)


# single_pixel


@pytest.mark.parametrize(("size", "tries"), [(8, 64), (100, 40), (224, 8)])
def test_the_search_budget_follows_the_image_size(size, tries):
    (found,) = ask("single_pixel", make(np.arange(3) % 2, size=size))
    assert f"({tries} pixels tried of each" in found.summary and found.n == 3


def test_a_model_that_reads_one_pixel_is_caught():
    (found,) = ask("single_pixel", make(np.arange(100) % 2, size=20))
    assert found.verdict == "fail" and found.statistic == 1.0 and found.n == 50
    assert {location.pixel for location in found.locations} == {(0, 0)}
    assert found.locations[0].image == "validation[0]"


# determinism


def test_determinism_is_exact_and_reproducible():
    class Chance(nn.Module):
        def forward(self, x):
            return functional.dropout(x.flatten(1)[:, :2], 0.5)

    target = make(np.arange(80) % 2, model=Chance())
    (first,), (second,) = ask("determinism", target), ask("determinism", target)
    assert first.statistic == second.statistic > 0.05 and first.verdict == "fail" and first.confidence is None
    assert first.interval == (first.statistic, first.statistic) and first.n == 64


def test_ties_up_to_rounding_do_not_fail():
    class Tie(nn.Module):
        def forward(self, x):
            z = x.flatten(1)[:, :2] * 0 + torch.tensor([1.0, 1.0])
            return torch.cat((z + torch.tensor([0.0, 1e-6]) * (len(x) % 2), z[:, :1] - 2), 1)

    (found,) = ask("determinism", make(np.arange(80) % 3, model=Tie()))
    assert found.verdict == "pass" and "16 of 144 predictions change" in found.summary


# collapsed_classes


def test_a_class_never_predicted_fails_and_is_named():
    labels = np.arange(500) % 5
    (found,) = ask("collapsed_classes", predicting(labels, np.where(labels == 3, 4, labels)), confidence=0.997)
    assert (
        found.verdict == "fail" and found.summary == "Predicted least often for its images is class 3: 0 times for 100."
    )
    assert found.locations[0].class_name == "class 3" and found.locations[0].statistic == 0


def test_many_classes_with_few_images_say_how_many_are_needed():
    labels = np.arange(500) % 250
    (found,) = ask("collapsed_classes", predicting(labels, labels), confidence=0.997)
    assert found.verdict == "not_applicable"
    assert "250 of 250 classes have fewer than the 49 images" in found.summary


def test_one_class_always_predicted_fails_among_any_number_of_classes():
    labels = np.arange(500) % 250
    (found,) = ask("collapsed_classes", predicting(labels, np.full(500, 9)), confidence=0.997)
    assert found.verdict == "fail" and found.statistic == 0


def test_rare_classes_are_left_out_and_named():
    labels = np.repeat([0, 1, 2], [240, 240, 5])
    (found,) = ask("collapsed_classes", predicting(labels, np.where(labels == 2, 1, labels)), confidence=0.997)
    assert found.verdict == "pass" and "1 of 3 classes have fewer" in found.summary


def test_labels_of_one_class_only():
    (found,) = ask("collapsed_classes", make(np.zeros(100, int), k=3))
    assert found.verdict == "not_applicable" and "all of one class" in found.summary


# claimed_accuracy


def with_accuracy(share, n=500, k=4, **settings):
    labels = np.arange(n) % k
    wrong = np.arange(n) >= round(share * n)
    return predicting(labels, np.where(wrong, (labels + 1 + np.arange(n) // k % (k - 1)) % k, labels), **settings)


def test_the_shortfall_has_the_exact_interval_of_the_accuracy():
    (found,) = ask("claimed_accuracy", with_accuracy(0.8, claims=Claims(accuracy=0.95)), confidence=0.99)
    low, high = proportion_interval(400, 500, 0.99)
    assert found.statistic == pytest.approx(0.15) and found.interval == pytest.approx((0.95 - high, 0.95 - low))
    assert (
        found.tolerance == 0.05
        and found.summary == "400 of 500 images (0.800) are classified correctly; 0.95 is claimed."
    )


@pytest.mark.parametrize(("share", "verdict"), [(0.5, "pass"), (0.25, "inconclusive"), (0.1, "fail")])
def test_without_a_claim_chance_must_be_beaten(share, verdict):
    (found,) = ask("claimed_accuracy", with_accuracy(share))
    assert found.verdict == verdict and found.tolerance == 0
    assert "by chance" in found.summary


def test_balanced_answers_on_imbalanced_data_beat_chance_though_not_the_majority():
    labels = np.repeat([0, 1], [450, 50])
    wrong = np.arange(500) % 20 < 3
    (found,) = ask("claimed_accuracy", predicting(labels, np.where(wrong, 1 - labels, labels)))
    assert found.verdict == "pass" and 1 - wrong.mean() < 0.9


def test_a_passing_model_is_given_no_explanation():
    (found,) = ask("claimed_accuracy", with_accuracy(0.95, claims=Claims(accuracy=0.95)))
    assert found.verdict == "pass" and found.remedy == CHECKS["behavior.claimed_accuracy"].remedy


def test_a_wrong_order_of_classes_is_named():
    labels = np.arange(400) % 4
    (found,) = ask("claimed_accuracy", predicting(labels, (labels + 1) % 4, claims=Claims(accuracy=0.9)))
    assert found.remedy.endswith(
        "With data.classes = ['class 3', 'class 0', 'class 1', 'class 2'], 200 of 200 images are right instead of 0."
    )


# worst_group


def test_metadata_of_the_training_images_alone_does_not_help():
    labels = np.arange(40) % 2
    images = np.zeros((40, 1, 4, 4), np.float32)
    splits = {"train": (images, labels), "validation": (images, labels)}
    metadata = {"train": {"site": labels}}
    target = AuditTarget.from_arrays(
        "made", nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), splits, ("a", "b"), metadata
    )
    (found,) = ask("worst_group", target)
    assert found.verdict == "not_applicable" and "validation images have no metadata" in found.summary


def test_groups_that_are_all_too_small():
    labels = np.arange(40) % 2
    (found,) = ask("worst_group", make(labels, metadata={"site": np.arange(40) // 10}))
    assert found.verdict == "not_applicable" and "10 images" in found.summary


def test_the_worst_group_is_named_with_its_numbers():
    labels, site = np.arange(500) % 2, np.array(["north", "south"])[np.arange(500) // 2 % 2]
    wrong = (site == "south") & (np.arange(500) % 8 < 4)
    target = predicting(labels, np.where(wrong, 1 - labels, labels), metadata={"site": site})
    (found,) = ask("worst_group", target, confidence=0.997)
    assert found.verdict == "fail" and found.statistic == pytest.approx(0.5, abs=0.02)
    assert "site = south" in found.summary and "1.000 is expected from the other images" in found.summary
