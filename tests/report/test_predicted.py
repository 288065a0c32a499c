"""Predictions of a run's sample: what is kept of them, and what a report shows."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from cnnaudit.report import Report, predictions
from cnnaudit.report.predicted import Predicted, missing, predicted
from cnnaudit.report.schema import check_report
from cnnaudit.target import AuditTarget, InputSpec

CLASSES = ("dark", "bright", "brighter")


class Brightness(torch.nn.Module):
    """Right where the mean is below .4 or above .7; never says the last class."""

    def forward(self, x):
        mean = x.mean((1, 2, 3))
        return 10 * torch.stack([0.5 - mean, mean - 0.5, torch.full_like(mean, -9.0)], 1)


@pytest.fixture
def target():
    shade = np.linspace(0, 1, 30, dtype=np.float32)
    images = np.broadcast_to(shade[:, None, None, None], (30, 3, 8, 8)).copy()
    labels = (shade > 0.5).astype(np.int64) + (shade > 0.9)
    spec = InputSpec(channels=3, size=(8, 8), mean=(0.5, 0.5, 0.4), std=(0.5, 0.5, 0.2))
    splits = {"validation": (images, labels)}
    return AuditTarget.from_arrays("demo", Brightness(), splits, classes=CLASSES, input=spec)


def test_the_section_holds_every_image_once_and_is_a_valid_part_of_a_report(target):
    section = json.loads(json.dumps(predictions.predictions(target, 20, 0)))
    places = target.draw("validation", 20, 0)
    logits = target.predictions("validation", 20, 0)
    assert section["names"] == [f"validation[{k}]" for k in places] and section["of"] == 30
    assert section["top1"] == logits.argmax(1).tolist()
    assert section["confidence"] == pytest.approx(logits.softmax(1).amax(1).tolist(), abs=1e-4)
    assert len(set(section["fingerprints"])) == 20
    low, high = section["pixels"]
    assert section["normalized"] == pytest.approx([(low - 0.4) / 0.2, (high - 0.4) / 0.2], abs=1e-2)
    check_report(Report({"name": "demo", "classes": list(CLASSES)}, predictions=section).to_json())


def test_strip_shows_every_class_and_pictures_the_surest_mistakes(target):
    section = predictions.predictions(target, None, 0)
    assert {section["labels"][k] for k in section["strip"]} == {0, 1, 2} and len(section["strip"]) == 4
    shown = Predicted(section, CLASSES)
    assert [row["top1"] for row in shown.mistakes] == ["bright"] * len(shown.mistakes)
    sure = [row["confidence"] for row in shown.mistakes]
    assert sure == sorted(sure, key=lambda text: -float(text[:-1])) and len(sure) == 3
    picture = Image.open(io.BytesIO(base64.b64decode(shown.strip[0]["png"])))
    assert picture.size == (8, 8)


def test_confusion_and_accuracy_per_class(target):
    shown = Predicted(predictions.predictions(target, None, 0), CLASSES)
    assert [[cell["n"] for cell in row["cells"]] for row in shown.matrix["rows"]] == [[15, 0, 0], [0, 12, 0], [0, 3, 0]]
    assert [row["accuracy"] for row in shown.matrix["rows"]] == ["100%", "100%", "0%"]
    assert shown.sentence.startswith("27 of 30 validation images are right: 90% (")
    assert shown.sentence.endswith("; fewest of class brighter: 0 of 3.")
    assert shown.confusions == [("brighter", "bright", 3)]


def test_many_images_are_kept_up_to_a_bound(target, monkeypatch):
    monkeypatch.setattr(predictions, "MOST_IMAGES", 10)
    section = predictions.predictions(target, None, 0)
    assert section["names"][0] == "validation[0]" and section["names"][-1] == "validation[29]"
    assert {len(section[key]) for key in ("names", "labels", "top1", "confidence", "fingerprints")} == {10}


def test_a_report_without_predictions_shows_none(report):
    assert predicted(Report({"name": "demo"})) is None
    told = Report({"name": "demo"}, predictions={"missing": "the model raised"})
    assert (predicted(told), missing(told)) == (None, "the model raised")
    check_report(told.to_json())
    assert predicted(report).sentence.startswith("2 of 4 validation images are right: 50%")
