"""Made-up reports with every verdict, every kind of evidence and hostile names."""

from __future__ import annotations

import numpy as np
import pytest

from cnnaudit.core import evidence
from cnnaudit.core.findings import Finding, Location
from cnnaudit.report import Report

TIME = "2026-05-04T12:00:00+00:00"
HOSTILE = (
    "<script>alert(1)</script> | a`b\n@octocat \u202e\u05e9\u05dc\u05d5\u05dd 漢字 $\\frac{ ](javascript:x) {0} "
    + "x" * 300
)


def finding(check: str, verdict: str = "pass", **changes: object) -> Finding:
    """A plausible finding: a share that the verdict fits."""
    values = {
        "pass": (0.004, (0.001, 0.014)),
        "fail": (0.19, (0.15, 0.24)),
        "inconclusive": (0.016, (0.007, 0.031)),
        "not_applicable": (None, None),
    }
    statistic, interval = values[verdict]
    fields = {
        "target": "tumour-v7",
        "verdict": verdict,
        "summary": "Of 500 images, 95 change their prediction.",
        "gate": True,
        "statistic": statistic,
        "interval": interval,
        "statistic_name": "share of predictions that change",
        "unit": "share of images",
        "confidence": 0.997,
        "tolerance": 0.02,
        "p_value": 0.0004 if verdict == "fail" else 0.4,
        "n": 500,
        "needed_n": 1840 if verdict == "inconclusive" else None,
        "profile": "quick",
        "remedy": "Train with the variation that the file claims, or withdraw the claim.",
        "reference": "Someone and Someone Else (2021), arXiv 2010.02178",
        "seconds": 1.25,
    }
    return Finding(check=check, **{**fields, **changes})


def all_evidence() -> tuple:
    """One item of each kind."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:28, 0:28]
    ring = np.maximum(abs(rows - 13.5), abs(columns - 13.5)) / 13.5
    pictures = np.clip(ring + rng.normal(0, 0.1, (6, 3, 28, 28)), 0, 1)
    return (
        evidence.images(
            "The images whose prediction changes most", pictures, [f"image {k}: cat, then dog" for k in range(6)]
        ),
        evidence.heat_map("Mean activation of the last layer", ring**8 * 0.9, label="activation"),
        evidence.heat_map(
            "Confusion", rng.integers(0, 200, (3, 3)), label="images", rows="label", columns="prediction"
        ),
        evidence.null_distribution(
            "The statistic when labels are shuffled",
            rng.normal(0.01, 0.004, 1000),
            0.19,
            label="share of images",
            tolerance=0.02,
        ),
        evidence.curve(
            "Accuracy when the image is turned",
            range(0, 50, 5),
            {"this model": np.linspace(0.95, 0.6, 10), "untrained twin": np.linspace(0.33, 0.34, 10)},
            x_label="rotation (degrees)",
            y_label="accuracy",
        ),
        evidence.bars(
            "Changed predictions per class",
            {"benign": 0.01, "malignant": 0.37, "a class with a rather long name": 0.02},
            label="share of images",
            tolerance=0.02,
        ),
        evidence.table(
            "Worst classes",
            ["class", "images", "changed", "share"],
            [["malignant", 250, 92, 0.368], ["benign", 250, 3, 0.012]],
        ),
    )


PREDICTIONS = {
    "split": "validation",
    "of": 500,
    "names": ["a.png", "b.png", "c.png", "d.png"],
    "fingerprints": ["0" * 16, "1" * 16, "2" * 16, "3" * 16],
    "labels": [0, 0, 1, 1],
    "top1": [0, 1, 0, 1],
    "confidence": [0.9, 0.6, 0.8, 0.7],
    "pixels": [0.0, 1.0],
    "normalized": [-2.1, 2.6],
    "strip": [0, 2, 1],
    "pictures": [{"image": k, "png": evidence.png(np.full((1, 8, 8), k / 3))} for k in range(3)],
}


def make_report(name: str = "tumour-v7", **changes: object) -> Report:
    """A report with every verdict and outcome."""
    locations = [
        Location(0.37, class_name="malignant", image="data/validation/malignant/0042.png"),
        Location(0.012, class_name="benign"),
    ]
    findings = [
        finding("behavior.invariance[rotation]", "fail", evidence=all_evidence(), locations=tuple(locations)),
        finding(
            "behavior.claimed_accuracy",
            "inconclusive",
            statistic=0.94,
            interval=(0.91, 0.96),
            tolerance=0.93,
            direction="at_least",
            summary="The model is right on 470 of 500 images.",
        ),
        finding(
            "dataset.leakage",
            "fail",
            summary="Of 500 validation images, 95 stand in the training set.",
            expected="same patient, two visits; kept on purpose until the new split",
        ),
        finding(
            "dataset.constant_class",
            "pass",
            summary="The least varied class, benign, varies as much as the others.",
            statistic=0.91,
            interval=(0.8, 1.02),
            tolerance=0.3,
            direction="at_least",
            unit="ratio",
            evidence=(
                evidence.bars(
                    "Spread per class", {"benign": 0.91, "malignant": 1.09}, label="spread (relative)", tolerance=0.3
                ),
            ),
        ),
        finding(
            "shortcut.place",
            "pass",
            summary="No class has a pattern at a fixed place of its own.",
            statistic=0.02,
            interval=(0.0, 0.05),
            tolerance=0.1,
            unit="share of images",
        ),
        finding(
            "padding.uneven_application",
            "fail",
            gate=False,
            statistic=5.0,
            interval=(5.0, 5.0),
            tolerance=0.0,
            unit="layers",
            confidence=None,
            p_value=None,
            n=5,
            n_unit="layers",
            summary="Five of five strided layers leave padding unused at 224 x 224; 225 x 225 would be even.",
        ),
        finding("padding.blind_spot", "pass", summary="A small stimulus is found equally well wherever it stands."),
        finding(
            "dataset.metadata_shortcut",
            "not_applicable",
            summary="the target has no metadata: set data.metadata in its file",
        ),
    ]
    values: dict = {
        "target": {
            "name": name,
            "source": "audit.toml",
            "classes": ["benign", "malignant"],
            "input": {"channels": 3, "size": [224, 224]},
            "claims": {"accuracy": 0.93, "rotation_degrees": 15},
            "splits": {
                "train": {"images": 2000, "per_class": {"benign": 1000, "malignant": 1000}},
                "validation": {"images": 500, "per_class": {"benign": 250, "malignant": 250}},
            },
            "expected": [
                {
                    "check": "dataset.leakage",
                    "reason": "same patient, two visits; kept on purpose until the new split",
                    "until": None,
                }
            ],
        },
        "environment": {
            "cnnaudit": "0.1.0",
            "python": "3.11.9",
            "torch": "2.15.0",
            "device": "cpu",
            "profile": "quick",
            "seed": 0,
            "strict": False,
            "time": TIME,
        },
        "findings": tuple(findings),
        "errors": (
            {
                "check": "behavior.determinism",
                "message": "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x9 and 16x2)",
            },
        ),
        "predictions": PREDICTIONS,
    }
    return Report(**{**values, **changes})


@pytest.fixture
def report() -> Report:
    """A report with every verdict, every outcome, every kind of evidence and a crash."""
    return make_report()


@pytest.fixture
def make():
    """Makes a report like `report` with some fields replaced."""
    return make_report


@pytest.fixture
def finding_of():
    """Makes one plausible finding: (check, verdict, **changes)."""
    return finding


@pytest.fixture
def hostile_report() -> Report:
    """A report whose every free text is hostile."""
    texts = {
        "summary": HOSTILE,
        "remedy": HOSTILE,
        "reference": HOSTILE,
        "unit": "",
        "statistic_name": HOSTILE,
        "n_unit": HOSTILE,
    }
    pictures = np.zeros((1, 1, 8, 8))
    items = (
        evidence.table(HOSTILE, [HOSTILE, "b"], [[HOSTILE, 1]]),
        evidence.images(HOSTILE, pictures, [HOSTILE]),
        evidence.heat_map(HOSTILE, np.eye(3), label=HOSTILE, rows=HOSTILE, columns=HOSTILE),
        evidence.null_distribution(HOSTILE, [0.0, 1.0], 2.0, label=HOSTILE),
        evidence.curve(HOSTILE, [0, 1], {HOSTILE: [0, 1]}, x_label=HOSTILE, y_label=HOSTILE),
        evidence.bars(HOSTILE, {HOSTILE: 1.0}, label=HOSTILE),
    )
    place = (Location(1.0, layer=HOSTILE, unit=1, class_name=HOSTILE, pixel=(1, 2), image=HOSTILE),)
    findings = [
        finding(
            f"{family}.{HOSTILE}",
            verdict,
            gate=gate,
            target=HOSTILE,
            evidence=items if family == "a" else (),
            locations=place,
            expected=expected,
            **texts,
        )
        for family, verdict, gate, expected in [
            ("a", "fail", True, None),
            ("b", "fail", True, HOSTILE),
            ("c", "inconclusive", True, None),
            ("d", "fail", False, None),
            ("e", "pass", True, None),
            ("f", "not_applicable", True, None),
        ]
    ]
    target = {
        "name": HOSTILE,
        "source": HOSTILE,
        "classes": [HOSTILE],
        "splits": {HOSTILE: {"images": 1, "per_class": {HOSTILE: 1}}},
    }
    error = {"check": HOSTILE, "message": HOSTILE}
    seen = {**PREDICTIONS, "names": [HOSTILE] * 4, "labels": [0] * 4, "top1": [0] * 4}
    return Report(target, {"time": TIME, HOSTILE: HOSTILE}, tuple(findings), (error,), predictions=seen)
