"""Classic filters: frozen ones stay bit-identical, and what is said of speed is arithmetic."""

from functools import partial

import numpy as np
import pytest
import torch

from cnnaudit.models import minimum
from cnnaudit.studies import classic_filters as study
from cnnaudit.studies.study import Effort
from cnnaudit.studies.thesis import splits
from cnnaudit.training import train_stacked

TINY = Effort(seeds=1, epochs=2, train=16, validation=4)


def test_starts_are_the_classic_filters_and_their_negatives_of_norm_1():
    seeds, names, filters = study.starts("frozen", 2)
    assert len(seeds) == len(names) == len(filters) == 2 * 2 * 12
    assert np.linalg.norm(filters.reshape(len(filters), -1), axis=1) == pytest.approx(1)
    assert np.array_equal(filters[names.index("-sobel x")], -filters[names.index("sobel x")])
    assert study.starts("learned", 2)[2] is None


def test_frozen_filters_stay_bit_identical_and_initialized_ones_move():
    seeds, _, filters = study.starts("frozen", 1)
    train, _ = splits("4.0", TINY)
    initial = {"conv.weight": filters.astype(np.float32)}
    trained = partial(train_stacked, partial(minimum, pool=7, hidden=4), train, seeds=seeds, epochs=2, initial=initial)
    frozen, moved = trained(frozen=("conv.weight",)), trained()
    assert torch.equal(frozen.states["conv.weight"], torch.from_numpy(filters.astype(np.float32)))
    assert not torch.equal(moved.states["conv.weight"], frozen.states["conv.weight"])
    assert frozen.states["conv.bias"].any(), "the bias is trained"


def test_a_tiny_run_fits_the_columns():
    rows = study.run({"dataset": "3.0", "arm": "frozen"}, TINY)
    networks = [row for row in rows if row["kind"] == "network"]
    assert len(networks) == 24
    assert [row["epoch"] for row in rows if row["kind"] == "curve"] == [1, 2]
    assert set().union(*rows) <= set(study.CLASSIC_FILTERS.columns)


def test_first_epoch_counts_from_one():
    assert study.first_epoch(np.array([0.9]), 0.9) == 1
    assert study.first_epoch(np.array([0.1, np.nan, np.nan]), 0.9) is None


def test_faster_is_the_share_of_pairs_with_ties_as_halves():
    assert study.faster([1, 2, 3, 9], [2, 2, 2, 2])[0] == pytest.approx((4 + 2) / 16)
    share, (low, high) = study.faster([np.inf] * 6, [np.inf] * 6)
    assert share == 0.5 and low == high == 0.5
    assert study.faster([1, 2] * 5, [np.inf] * 10)[1][0] > 0.9


def test_findings_name_the_filter_that_does_as_well():
    def network(arm, name, accuracy, epochs):
        return {
            "dataset": "1.3",
            "arm": arm,
            "kind": "network",
            "filter": name,
            "train_accuracy": accuracy,
            "validation_accuracy": accuracy,
            "epochs_to_target": epochs,
            "outcome": "dead" if accuracy < 0.4 else "trained",
        }

    rows = [network("learned", "learned", 0.9, 20) for _ in range(6)]
    rows += [network("initialized", "sobel x", 0.95, 5) for _ in range(6)]
    rows += [network("random", "random", 0.5, None) for _ in range(6)]
    for arm in ("frozen", "replicate"):
        rows += [network(arm, name, value, None) for name, value in (("sobel x", 0.95), ("-sobel x", 0.93))]
        rows += [network(arm, "box blur", 0.33, None)]
    said = " ".join(study.findings(rows))
    assert said.startswith(
        "Some frozen classic filter does as well as the median learned one on 1 of 1 data sets (1.3)"
    )
    assert "the best filter by training accuracy, sobel x, 0.940" in said
    assert "1 of 2 filters have a median no lower than learned ones (sobel x)." in said
    assert "sooner in 1.00 of pairs" in said
    assert "1 of 3 networks answer every image alike" in said
