"""A run's records carry the model's predictions once, as soon as a check has asked for them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import torch

from cnnaudit.plugin.session import Session, Settings
from cnnaudit.report import load_report
from cnnaudit.target import AuditTarget

CHECK = SimpleNamespace(id="demo.check")


def recorded(tmp_path, model):
    images, labels = torch.rand(6, 1, 4, 4), torch.arange(6) % 2
    target = AuditTarget.from_arrays("demo", model, {"validation": (images, labels)}, classes=("a", "b"))
    return Session(Settings("2026-05-04T12:00:00+00:00", "run", tmp_path)), target


def test_predictions_are_recorded_once_and_only_where_a_check_asked(tmp_path):
    session, target = recorded(tmp_path, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)))
    assert session.record(CHECK, target, "t").predictions is None
    logits = target.predictions("validation", 500, 0)
    section = session.record(CHECK, target, "t").predictions
    assert section["top1"] == logits.argmax(1).tolist()
    assert session.record(CHECK, target, "t").predictions is None
    assert load_report(tmp_path / "demo").predictions == section  # from the journal of a run that did not end


def test_a_model_that_crashes_leaves_the_reason(tmp_path):
    session, target = recorded(tmp_path, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)))
    target = replace(target, model=torch.nn.Linear(3, 2))
    section = session.record(CHECK, target, "t", error="it crashed").predictions
    assert list(section) == ["missing"] and section["missing"].startswith("demo: the model raised")
    assert load_report(tmp_path / "demo").predictions == section
