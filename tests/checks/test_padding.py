"""The padding checks: planted defects fail, clean twins pass, and what cannot be asked is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from cnnaudit.checks import padding
from cnnaudit.checks.padding._plants import edge_network, resnet_geometry
from cnnaudit.checks.padding.blind_spot import brightness_sum, steady_digits
from cnnaudit.checks.registry import Check
from cnnaudit.core.errors import ModelError
from cnnaudit.core.statistics import gate_confidence
from cnnaudit.interventions import calls
from cnnaudit.target import AuditTarget, Claims

CHECKS = {item.id: item for item in vars(padding).values() if isinstance(item, Check)}
CONFIDENCE = gate_confidence(16)


def test_every_row_of_the_family_is_there():
    names = ("uneven_application", "border_response", "border_maximum", "prediction_flip", "blind_spot")
    assert list(CHECKS) == [f"padding.{name}" for name in names]
    assert {plant.check for plant in PLANTS} == set(CHECKS)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_the_defect_fails_and_its_twin_passes(plant):
    check = CHECKS[plant.check]
    defect = check(plant.defect(5), seed=5, confidence=CONFIDENCE)
    twin = check(plant.twin(5), seed=5, confidence=CONFIDENCE)
    assert (defect.verdict, twin.verdict) == ("fail", "pass"), (defect.summary, twin.summary)
    assert defect.evidence and defect.interval[0] <= defect.statistic <= defect.interval[1]


def target(model: nn.Module, size: int = 12, n: int = 20, claims: Claims | None = None) -> AuditTarget:
    images = torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(0)).numpy()
    labels = torch.arange(n).remainder(2).numpy()
    split = {"validation": (images, labels)}
    return AuditTarget.from_arrays("small", model, split, classes=("a", "b"), claims=claims or Claims())


def classifier(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2))


NOT_ASKED = [
    ("uneven_application", [nn.Flatten(), nn.LazyLinear(4)], "no 2-d convolution"),
    ("uneven_application", [nn.Conv2d(1, 2, 3, padding=1)], "strides"),
    ("border_response", [nn.Conv2d(1, 2, 3)], "pads its input"),
    ("border_maximum", [nn.Conv2d(1, 2, 3)], "pads its input"),
    ("border_maximum", [nn.MaxPool2d(3), nn.Conv2d(1, 2, 3, padding=1)], "8 x 8"),
    ("prediction_flip", [nn.Conv2d(1, 2, 3)], "pads its input"),
]


@pytest.mark.parametrize("name, layers, reason", NOT_ASKED)
def test_what_cannot_be_asked_says_why(name, layers, reason):
    model = classifier(*layers)
    model(torch.zeros(1, 1, 12, 12))
    found = CHECKS[f"padding.{name}"](target(model))
    assert found.verdict == "not_applicable"
    assert reason in found.summary


def test_dead_units_have_no_border():
    model = classifier(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    nn.init.constant_(model[0].bias, -50)
    model(torch.zeros(1, 1, 12, 12))
    for name in ("border_response", "border_maximum"):
        assert "dead" in CHECKS[f"padding.{name}"](target(model)).summary


@pytest.mark.parametrize("name", ["border_response", "border_maximum", "prediction_flip", "blind_spot"])
def test_a_model_that_answers_nan_is_an_error(name):
    model = classifier(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU())
    model(torch.zeros(1, 1, 12, 12))
    nn.init.constant_(model[0].weight, float("nan"))
    with pytest.raises(ModelError, match="NaN"):
        CHECKS[f"padding.{name}"](target(model))


def test_empty_images_hold_no_stimulus():
    asked = target(classifier(nn.Conv2d(1, 2, 3)))
    asked.model(torch.zeros(1, 1, 12, 12))
    images = torch.zeros(20, 1, 12, 12).numpy()
    split = AuditTarget.from_arrays(
        "empty", asked.model, {"validation": (images, asked.split("validation").labels)}, "ab"
    )
    found = padding.check_blind_spot(split)
    assert found.verdict == "not_applicable" and "only 0 of 20 images" in found.summary


def test_the_remedy_names_the_nearest_even_size():
    found = padding.check_uneven_application(resnet_geometry(0, 64))
    assert found.statistic == 5 and found.n == 5 and found.confidence is None
    assert "65 x 65" in found.remedy and "65 x 65" in found.summary
    assert [location.layer for location in found.locations] == ["0", "2", "5", "7", "9"]
    even = padding.check_uneven_application(resnet_geometry(0, 65))
    assert even.verdict == "pass" and even.statistic == 0


def test_crops_are_told_apart():
    model = classifier(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3))
    model(torch.zeros(1, 1, 12, 12))
    found = padding.check_uneven_application(target(model))
    assert found.verdict == "pass" and found.statistic == 0
    assert "1 without padding leaves out the last row or column" in found.summary
    assert found.evidence[0]["rows"][0][-1] == "crop"


def test_the_worst_layer_is_named_first_with_its_pixel():
    found = padding.check_border_maximum(edge_network(1, "zeros"))
    assert found.locations[0].layer == "conv"
    row, column = found.locations[0].pixel
    assert row in (0, 27) or column in (0, 27)
    assert [item["kind"] for item in found.evidence] == ["heat_map", "images"]
    several = padding.check_border_maximum(resnet_geometry(0, 65))
    assert [item["kind"] for item in several.evidence] == ["heat_map", "bars", "images"]


def test_an_untrained_copy_stands_beside_the_flips():
    found = padding.check_prediction_flip(edge_network(1, "zeros", "polarity"))
    rows = found.evidence[0]["rows"]
    assert [row[0] for row in rows] == ["this model", "untrained copy"]
    assert rows[0][2] == found.statistic
    assert "conv" in found.summary


@pytest.mark.parametrize("claim, gate", [(None, False), (0, False), (3, True)])
def test_a_blind_spot_fails_the_run_only_where_translation_is_claimed(claim, gate):
    asked = replace(brightness_sum(0, 32), claims=Claims(translation_pixels=claim))
    found = padding.check_blind_spot(asked)
    assert found.gate is gate and found.verdict == "fail"


def test_a_claim_is_held_to_what_it_promises():
    """Digits in the middle and a small claim: the blind right border is out of reach."""
    asked = steady_digits(0, 32)
    whole = padding.check_blind_spot(asked)
    split = asked.split("validation")
    images = split.read(range(len(split.labels)))
    middle = torch.zeros_like(images)
    for place, image in zip(middle, images):
        rows, columns = image[0].nonzero(as_tuple=True)
        top, left = int(rows.min()), int(columns.min())
        place[:, 8:24, 8:24] = image[:, min(top, 16) : min(top, 16) + 16, min(left, 16) : min(left, 16) + 16]
    data = {"validation": (middle.numpy(), split.labels)}
    model, classes = asked.model, asked.classes
    held = AuditTarget.from_arrays("middle", model, data, classes, claims=Claims(translation_pixels=2))
    found = padding.check_blind_spot(held)
    assert found.statistic < whole.statistic
    assert whole.p_value < 0.01


@pytest.mark.parametrize("name", ["border_response", "border_maximum", "prediction_flip", "blind_spot"])
def test_the_same_seed_gives_the_same_finding_and_leaves_nothing_behind(name):
    asked = edge_network(2, "zeros")
    check = CHECKS[f"padding.{name}"]
    before = [value.clone() for value in asked.model.state_dict().values()]
    state = torch.get_rng_state()
    first, second = check(asked, seed=4), check(replace(asked, _cache={}), seed=4)
    assert replace(first, seconds=0) == replace(second, seconds=0)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(before, asked.model.state_dict().values()))
    assert not asked.model.training
    assert calls(asked.model, torch.zeros(1, 1, 28, 28))


def test_few_images_say_how_many_would_decide():
    asked = edge_network(3, "replicate")
    split = asked.split("validation")
    few = {"validation": (split.read(range(0, 600, 30)), split.labels[::30])}
    small = AuditTarget.from_arrays("few", asked.model, few, asked.classes)
    found = padding.check_prediction_flip(small, confidence=CONFIDENCE)
    assert found.verdict == "inconclusive" and found.n == 20
    assert found.needed_n > 20
