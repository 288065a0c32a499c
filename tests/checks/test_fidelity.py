"""The fidelity checks: planted defects fail, clean twins pass, and what cannot be asked is said."""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.attribution import methods
from cnnaudit.checks import fidelity
from cnnaudit.checks.fidelity.deconvnet import chained
from cnnaudit.checks.fidelity.integrity import rectified
from cnnaudit.checks.registry import Check
from cnnaudit.checks.small_targets import plain
from cnnaudit.core.findings import Finding
from cnnaudit.target import AuditTarget

CHECKS = {item.id: item for item in vars(fidelity).values() if isinstance(item, Check)}
CONFIDENCE = 0.997
FEW = ("gradient", "deconvnet", "guided_backpropagation", "edges", "blank")


@pytest.fixture
def few_methods(monkeypatch):
    """Only the cheap methods, so that a test takes a second."""
    for name in ("survey", "figures", "quiet"):  # they look methods up in the mapping that they find when imported
        importlib.import_module(f"cnnaudit.fidelity.{name}")
    chosen = MappingProxyType({name: methods.METHODS[name] for name in FEW})
    monkeypatch.setattr(methods, "METHODS", chosen)


def part(found: Finding | list[Finding], name: str) -> Finding:
    return found if isinstance(found, Finding) else next(finding for finding in found if finding.part == name)


def small(model: nn.Module, n: int = 20, inside: bool = True, images: torch.Tensor | None = None) -> AuditTarget:
    if images is None:
        images = torch.rand(n, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    split = {"validation": (images.numpy(), torch.arange(len(images)).remainder(2).numpy())}
    return AuditTarget.from_arrays("small", model, split, ("a", "b"), inside=inside)


def classifier(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    for layer in layers:  # made before the seed was set
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
    model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2)).eval()
    model(torch.zeros(1, 1, 12, 12))
    return model


def test_every_row_of_the_family_is_there():
    assert list(CHECKS) == [f"fidelity.{n}" for n in ("integrity", "deconvnet", "randomization", "deletion", "lime")]
    assert {plant.check for plant in PLANTS} == set(CHECKS)
    assert [id for id, check in CHECKS.items() if check.gate] == ["fidelity.integrity"]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_the_defect_fails_and_its_twin_passes(plant, few_methods):
    if plant.check == "fidelity.lime":
        pytest.importorskip("lime")
    check = CHECKS[plant.check]
    defect = part(check(plant.defect(5), seed=5, confidence=CONFIDENCE), plant.part)
    twin = part(check(plant.twin(5), seed=5, confidence=CONFIDENCE), plant.part)
    assert (defect.verdict, twin.verdict) == ("fail", "pass"), (defect.summary, twin.summary)
    assert defect.evidence and defect.interval[0] <= defect.statistic <= defect.interval[1]


def test_the_hidden_relu_is_named():
    found = fidelity.check_integrity(rectified(0, arithmetic=True))
    assert {location.layer for location in found.locations} == {"/mul:1"}
    assert "x * (x > 0)" in fidelity.check_integrity.body.__doc__


@pytest.fixture(scope="module")
def lenet():
    return plain(1, "digits", trained=True)


def test_each_finding_shows_the_method_beside_both_baselines(lenet, few_methods):
    for name in ("randomization", "deletion"):
        found = CHECKS[f"fidelity.{name}"](replace(lenet, _cache={}))
        assert [finding.part for finding in found] == list(FEW[:3])
        titles = [[row[0] for row in finding.evidence[0]["rows"]] for finding in found]
        assert len(titles[0]) == len(FEW)  # the first shows all of them
        assert all("Edge detector (baseline)" in rows and "Blank map (baseline)" in rows for rows in titles)
        assert all(len(rows) == 3 for rows in titles[1:])


def test_an_edge_detector_survives_random_weights_and_a_blank_map_deletes_at_random(lenet, few_methods):
    rows = {row[0]: row for row in fidelity.check_randomization(lenet)[0].evidence[0]["rows"]}
    assert rows["Edge detector (baseline)"][2] == pytest.approx(1, abs=1e-6)
    rows = {row[0]: row for row in fidelity.check_deletion(lenet)[0].evidence[0]["rows"]}
    assert abs(rows["Blank map (baseline)"][2]) < 0.05
    assert rows["Gradient"][2] > rows["Edge detector (baseline)"][2]


def test_numbers_depend_on_neither_order_nor_selection_and_nothing_is_left_behind(lenet, few_methods):
    before = [value.clone() for value in lenet.model.state_dict().values()]
    state = torch.get_rng_state()
    first = [CHECKS[f"fidelity.{n}"](replace(lenet, _cache={}), seed=4) for n in ("randomization", "deletion")]
    shared = replace(lenet, _cache={})
    second = [CHECKS[f"fidelity.{n}"](shared, seed=4) for n in ("deletion", "randomization")][::-1]
    for alone, together in zip(first, second):
        assert [replace(f, seconds=0) for f in alone] == [replace(f, seconds=0) for f in together]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(before, lenet.model.state_dict().values()))
    assert not any(parameter.grad is not None for parameter in lenet.model.parameters())


NOT_ASKED = [
    ("randomization", nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 72)), nn.Flatten(2)), "no weights"),
    ("deconvnet", classifier(nn.Conv2d(1, 2, 3)), "no ReLU"),
    ("deconvnet", classifier(nn.Conv2d(1, 2, 3), nn.SiLU()), "silu"),
    ("deconvnet", classifier(nn.Flatten(), nn.Linear(144, 4), nn.ReLU()), "answers with maps"),
]


@pytest.mark.parametrize("name, model, reason", NOT_ASKED[1:])
def test_what_cannot_be_asked_says_why(name, model, reason):
    found = CHECKS[f"fidelity.{name}"](small(model))
    assert found.verdict == "not_applicable"
    assert reason in found.summary


def test_a_model_without_weights_cannot_be_drawn_anew():
    class Bright(nn.Module):
        def forward(self, images):
            mean = images.mean((1, 2, 3))
            return torch.stack([mean, 1 - mean], 1)

    found = fidelity.check_randomization(small(Bright()))
    assert found.verdict == "not_applicable" and "no weights" in found.summary


def test_a_model_that_answers_the_blur_alike_has_nothing_to_delete(few_methods):
    found = fidelity.check_deletion(small(classifier(nn.AvgPool2d(12))))
    assert found.verdict == "not_applicable" and "blur" in found.summary


def test_methods_without_their_relu_are_refused_one_by_one(few_methods):
    model = classifier(nn.Conv2d(1, 4, 3), nn.SiLU())
    with torch.no_grad():
        model[0].weight.mul_(20)  # else it is nearly linear, with the same gradient for all images
    found = {finding.part: finding for finding in fidelity.check_randomization(small(model))}
    assert found["gradient"].verdict != "not_applicable"
    assert found["deconvnet"].verdict == "not_applicable" and "silu" in found["deconvnet"].summary


def test_integrity_without_a_relu_asks_the_rest(few_methods):
    found = fidelity.check_integrity(small(classifier(nn.Conv2d(1, 4, 3), nn.SiLU())))
    answers = dict(found.evidence[-1]["rows"])
    assert found.verdict == "pass" and answers["gradient"] == "holds"
    assert "silu" in answers["guided rule"]


def test_empty_images_have_no_evidence_to_stand_over():
    split = chained(0).split("validation")
    images = torch.full_like(split.read(np.arange(12)), 0.5)
    target = AuditTarget.from_arrays(
        "empty", chained(0).model, {"validation": (images, split.labels[:12])}, "0123456789"
    )
    found = part(fidelity.check_deconvnet(target), "evidence")
    assert found.verdict == "not_applicable" and "background" in found.summary


def test_photographs_leave_out_the_costly_methods_with_the_reason():
    model = nn.Sequential(nn.Conv2d(3, 4, 7, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    images = torch.rand(10, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    found = {f.part: f for f in fidelity.check_randomization(small(model, images=images))}
    assert "--audit-profile" in found["integrated_gradients"].summary
    assert found["gradient"].n == 8
