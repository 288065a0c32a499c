"""Targets whose predictions are written into their images."""

import numpy as np
import pytest

from cnnaudit.checks.readout import reads_pixel, write_predictions
from cnnaudit.target import AuditTarget


def make(labels, predicted=None, *, k=None, channels=1, size=8, model=None, metadata=None, **settings):
    """A target of those labels whose model predicts as asked (by default, what is right)."""
    labels = np.asarray(labels)
    predicted = labels if predicted is None else np.asarray(predicted)
    k = k or int(max(labels.max(), predicted.max())) + 1
    images = np.random.default_rng(0).random((len(labels), channels, size, size), dtype=np.float32)
    return AuditTarget.from_arrays(
        "made",
        model or reads_pixel(k),
        {"validation": (write_predictions(images, predicted, k), labels)},
        classes=[f"class {i}" for i in range(k)],
        metadata={"validation": metadata} if metadata else None,
        **settings,
    )


@pytest.fixture(name="make")
def make_fixture():
    return make
