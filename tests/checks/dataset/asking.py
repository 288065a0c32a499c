"""Ask one check of small targets, as a run of sixteen gates would."""

import importlib

import numpy as np

from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.core.findings import Finding
from cnnaudit.core.statistics import gate_confidence
from cnnaudit.target import AuditTarget

CONFIDENCE = gate_confidence(16)


def ask(name, target, **settings):
    """The findings of `dataset.<name>`."""
    check = getattr(importlib.import_module(f"cnnaudit.checks.dataset.{name}"), name)
    found = check(target, confidence=CONFIDENCE, **settings)
    return [found] if isinstance(found, Finding) else found


def one(name, target, **settings):
    """The only finding of `dataset.<name>`."""
    (found,) = ask(name, target, **settings)
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
