"""The dataset checks: planted defects fail, their twins pass, the references' findings, and what poor data do."""

import numpy as np
import pytest
import torch

from cnnaudit.checks import dataset, real
from cnnaudit.checks.dataset.border_shortcut import all_photographs, tagged
from cnnaudit.checks.readout import readout, reads_pixel, write_predictions
from cnnaudit.checks.registry import Check
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import gate_confidence
from cnnaudit.data import reference
from cnnaudit.target import AuditTarget

CHECKS = {item.id: item for item in vars(dataset).values() if isinstance(item, Check)}
CONFIDENCE = gate_confidence(16)
needs_data = pytest.mark.skipif(not real.available(), reason=f"set {real.FOLDER} to the folder of mnist.npz")


def ask(check, target, **settings):
    found = CHECKS[f"dataset.{check}"](target, confidence=CONFIDENCE, **settings)
    return [found] if isinstance(found, Finding) else found


def one(check, target, **settings):
    (found,) = ask(check, target, **settings)
    return found


def make(labels, splits=("train", "validation"), classes=None, side=12, channels=1, images=None, **settings):
    """Random images with those labels, and a model that is right on all of them."""
    labels = np.asarray(labels)
    k = classes or int(labels.max()) + 1
    rng = np.random.default_rng(0)
    parts = {}
    for split in splits:
        drawn = rng.random((len(labels), channels, side, side), dtype=np.float32) if images is None else images
        parts[split] = (write_predictions(drawn, labels, k), labels)
    return AuditTarget.from_arrays("made", reads_pixel(k), parts, classes=[f"class {i}" for i in range(k)], **settings)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_planted_defects_fail_and_their_twins_pass(plant):
    for build, verdict in ((plant.defect, "fail"), (plant.twin, "pass")):
        findings = ask(plant.check.partition(".")[2], build(1))
        chosen = [f for f in findings if not plant.part or f.check.endswith(f"[{plant.part}]")]
        assert [f.verdict for f in chosen] == [verdict], [(f.summary, f.interval) for f in chosen]


@pytest.fixture(scope="module", params=["1.3", "2.1", "3.0", "4.0"])
def thesis(request):
    """The number of a dataset of the thesis, and a target of it with a model that is good at it."""
    parts = {split: reference(request.param, split, n_per_class=400) for split in ("train", "validation")}
    model = readout(parts["train"].images, parts["train"].labels, 3)
    arrays = {split: (part.images, part.labels) for split, part in parts.items()}
    return request.param, AuditTarget.from_arrays(request.param, model, arrays, parts["train"].classes)


EXPECTED = {
    "constant_class": {"2.1"},
    "leakage": {"1.3", "2.1"},
    "trivial_feature": {"2.1", "4.0"},
    "border_shortcut": set(),
    "class_imbalance": set(),
    "label_signal": set(),
}


@pytest.mark.parametrize("check", EXPECTED)
def test_the_findings_of_the_thesis(thesis, check):
    number, target = thesis
    found = one(check, target)
    assert found.verdict == ("fail" if number in EXPECTED[check] else "pass"), (found.summary, found.interval)


def test_what_is_wrong_with_rotated_circles_is_named(thesis):
    number, target = thesis
    if number != "2.1":
        pytest.skip("about dataset 2.1")
    constant = one("constant_class", target)
    assert constant.statistic == 0
    assert [place.class_name for place in constant.locations] == ["circle"]
    assert constant.evidence[0]["kind"] == "images"
    assert one("leakage", target).statistic == 1


def test_copies_are_shown_beside_the_originals_by_name():
    target = make(np.arange(60) % 3)
    train, labels = (x.numpy() for x in target.sample("train", None))
    validation = target.sample("validation", None)[0].numpy()
    validation[7] = train[31]
    labels = {"train": labels, "validation": np.where(np.arange(60) == 7, labels[31], labels)}
    leaking = AuditTarget.from_arrays(
        "leaking",
        target.model,
        {"train": (train, labels["train"]), "validation": (validation, labels["validation"])},
        classes=target.classes,
    )
    found = one("leakage", leaking)
    assert found.verdict == "fail"
    assert found.statistic == pytest.approx(1 / 20)
    assert found.interval == (found.statistic, found.statistic)
    captions = [image["caption"] for image in found.evidence[0]["images"]]
    assert captions == ["validation[7] (class 1)", "train[31] (class 1): same pixels"]


def test_a_split_that_is_read_in_part_gives_an_interval(monkeypatch):
    from cnnaudit.core.profiles import Profile

    target = make(np.arange(600) % 2, side=50)
    found = one("leakage", target, profile=Profile("quick", 500, 1000, megapixels=1))
    assert found.statistic == 0 < found.interval[1]
    assert "67% of the training images" in found.summary


def test_a_weak_model_is_explained_by_a_feature_that_a_good_one_goes_beyond():
    """The ratio is relative to the model: (.5 above chance) / (.8 above chance) = .625 of it."""
    rng, labels, splits = np.random.default_rng(0), np.arange(2000) % 2, {}
    for split in ("train", "validation"):
        bright, answers = (np.where(rng.random(2000) < share, labels, 1 - labels) for share in (0.75, 0.9))
        images = (0.1 + 0.4 * bright)[:, None, None, None] + 0.5 * rng.random((2000, 1, 24, 24))
        shown = answers if split == "validation" else rng.integers(0, 2, 2000)  # so that trees cannot read the answer
        splits[split] = (write_predictions(images.astype(np.float32), shown, 2), labels)
    found = one("trivial_feature", AuditTarget.from_arrays("weak", reads_pixel(2), splits, ("a", "b")), profile="deep")
    assert found.statistic == pytest.approx(0.625, abs=0.08)


def test_a_model_at_chance_has_nothing_to_explain():
    labels = np.arange(200) % 2
    target = make(labels)
    guessing = AuditTarget.from_arrays(
        "guessing", reads_pixel(2), {s: (target.sample(s, None)[0] * 0, labels) for s in ("train", "validation")}, "ab"
    )
    found = one("trivial_feature", guessing)
    assert found.verdict == "not_applicable"
    assert "not clearly above chance" in found.summary


def test_where_the_probe_is_too_simple_the_model_shows_the_signal():
    found = one("label_signal", make(np.arange(500) % 10, side=32))
    assert found.verdict == "pass"
    assert found.p_value > 0.001


def test_without_a_model_to_ask_the_probe_alone_decides():
    labels = np.arange(500) % 10
    images = np.random.default_rng(1).random((500, 1, 12, 12), dtype=np.float32) / 2
    images[np.arange(500), 0, labels + 1, 3:9] = 1
    found = one("label_signal", make(labels, splits=("train",), images=images))
    assert found.verdict == "pass"
    assert found.p_value < 0.002


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


POOR = {
    "one image": make([0], classes=2),
    "two images": make([0, 1]),
    "one class": make([1] * 40, classes=2),
    "an empty class": make(np.arange(40) % 2, classes=3),
    "no training images": make(np.arange(40) % 2, splits=("validation",)),
    "no validation images": make(np.arange(40) % 2, splits=("train",)),
    "images of 2 x 2": make(np.arange(40) % 2, side=2),
    "blank images": make(np.arange(40) % 2, images=np.zeros((40, 1, 12, 12), np.float32)),
    "wide color images": make(np.arange(40) % 2, images=np.zeros((40, 3, 10, 300), np.float32)),
    "200 classes": make(np.arange(400) % 200),
}


@pytest.mark.parametrize("check", [*EXPECTED, "metadata_shortcut"])
@pytest.mark.parametrize("data", POOR)
def test_poor_data_get_an_answer_or_a_reason(data, check):
    for found in ask(check, POOR[data]):
        assert found.summary
        if found.verdict == "not_applicable":
            assert found.statistic is None
            assert any(word in found.summary for word in ("two", "need", "no ", "not ", "smaller", "both"))


def test_the_same_seed_gives_the_same_finding_and_leaves_the_global_generators_alone():
    target = make(np.arange(300) % 3, side=16)
    np.random.seed(5)
    torch.manual_seed(5)
    states = (np.random.get_state()[1].copy(), torch.get_rng_state())
    first = [found.to_json() | {"seconds": 0} for check in EXPECTED for found in ask(check, target)]
    again = [found.to_json() | {"seconds": 0} for check in reversed(EXPECTED) for found in ask(check, target)]
    assert first == again[::-1]
    assert (np.random.get_state()[1] == states[0]).all()
    assert torch.equal(torch.get_rng_state(), states[1])


def test_every_check_has_a_clean_population():
    assert {population.check for population in POPULATIONS} == set(CHECKS)


@needs_data
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("check", EXPECTED)
def test_real_data_pass(name, check):
    assert one(check, all_photographs(1, name)).verdict == "pass"


@needs_data
@pytest.mark.parametrize(("every_class", "verdict"), [(False, "fail"), (True, "pass")])
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_tag_in_the_corner_of_one_class_of_real_data_is_caught_and_in_every_class_it_is_not(
    name, every_class, verdict
):
    assert one("border_shortcut", tagged(3, every_class, name)).verdict == verdict
