"""Calibration: what is measured is kept, an interruption loses nothing, and findings keep the tolerance they had."""

import json
import sys

import pytest

from cnnaudit.checks import calibration
from cnnaudit.checks.calibration import calibrate
from cnnaudit.checks.nulls import summarize
from cnnaudit.core.errors import AuditError

MODULE = '''
from dataclasses import replace
import numpy as np
import torch
from cnnaudit.checks import Plant, Population, check
from cnnaudit.target import AuditTarget

class Mean(torch.nn.Module):
    def forward(self, x):
        return x.mean((2, 3)).repeat(1, 2)

def target(seed, level):
    images = np.full((4, 1, 4, 4), level, np.float32)
    return AuditTarget.from_arrays(f"t{seed}", Mean(), {"validation": (images, [0, 1, 0, 1])}, ("a", "b"))

def clean(seed): return target(seed, 0.1 + 0.01 * seed)
def bright(seed): return target(seed, 0.9)

@check(
    question="?", statistic="brightness", unit="share", direction="at_most", tolerance=0.5, gate=True, remedy="r.",
    reference="none", needs=("validation",),
)
def brightness(context):
    """Mean brightness, and the same against a tolerance of its own."""
    value = float(context.sample("validation")[0].mean())
    own = replace(context, tolerance=0.05)
    return [
        context.judge(value, (value, value), n=4, part="plain", summary="s."),
        own.judge(value, (value, value), n=4, part="strict", summary="s."),
    ]

POPULATIONS = [Population("dark images", clean, 3)]
PLANTS = [Plant("bright images", bright, clean, part="plain")]
'''


@pytest.fixture
def brightness(tmp_path, monkeypatch):
    folder = tmp_path / "clinic"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "brightness.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import clinic.brightness

    check = clinic.brightness.brightness
    monkeypatch.setattr(calibration, "known_checks", lambda: {check.id: check})
    yield check
    for name in ("clinic", "clinic.brightness"):
        sys.modules.pop(name, None)


def test_every_target_is_kept_with_its_seed_and_judged_as_it_was(brightness):
    found = calibrate(brightness.id, seeds=3, workers=1)
    populations = {(p["name"], p["kind"]): p for p in found["populations"]}
    plain = populations["dark images [plain]", "clean"]
    assert [row["seed"] for row in plain["targets"]] == [0, 1, 2]
    assert [row["statistic"] for row in plain["targets"]] == pytest.approx([0.1, 0.11, 0.12], abs=1e-4)
    strict = populations["dark images [strict]", "clean"]
    assert strict["targets"][0]["own"] == {"direction": "at_most", "tolerance": 0.05}
    assert "own" not in plain["targets"][0]
    assert found["false_alarms"] == summarize(found["populations"], "at_most", 0.5)["false_alarms"]
    assert (found["false_alarms"]["count"], found["false_alarms"]["n"]) == (3, 9)  # strict fails, plain and twin do not
    assert (found["power"]["count"], found["power"]["n"]) == (3, 3)


def test_what_was_measured_is_not_measured_again(brightness, tmp_path, monkeypatch):
    file = tmp_path / "partial.jsonl"
    first = calibrate(brightness.id, seeds=2, workers=1, resume=file)
    lines = file.read_text().splitlines()
    assert len(lines) == 6  # two seeds of population, twin and defect
    assert first["command"] == "cnnaudit calibrate brightness --seeds 2".replace("brightness", brightness.id)
    file.write_text("\n".join(lines[:3]) + "\n" + lines[3][:20])
    asked = []
    ask = calibration._ask
    monkeypatch.setattr(calibration, "_ask", lambda *task: asked.append(task[3]) or ask(*task))
    again = calibrate(brightness.id, seeds=2, workers=1, resume=file)
    assert len(asked) == 3
    assert [p["targets"] for p in again["populations"]] == [p["targets"] for p in first["populations"]]


def test_the_result_is_stored_whole(brightness, tmp_path):
    found = calibrate(brightness.id, seeds=2, workers=1)
    path = calibration.write(found, tmp_path)
    assert path.name == f"{brightness.id}.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(found))


def test_an_unknown_check_is_refused(brightness):
    with pytest.raises(AuditError, match=r"no check is called 'clinic\.darkness'"):
        calibrate("clinic.darkness")
