"""The noise curve: levels, the ladder, and what its words rest on."""

import numpy as np
import pytest

from cnnaudit.data import shapes
from cnnaudit.models import minimum
from cnnaudit.studies import noise_curve as study
from cnnaudit.studies.study import Effort


@pytest.mark.parametrize("level", [0, 5, 20, 50])
def test_swapped_is_what_the_canvas_shows(level):
    settings = {"n_per_class": 2, "inverted": False, "size": 100, "swaps": "repeated"}
    clean, noisy = (shapes("scaling", noise=noise, **settings).images for noise in (0, level))
    assert (clean != noisy).mean() == pytest.approx(study.swapped(level), abs=0.01)


def test_swapped_grows_with_the_level_and_stays_below_a_half():
    shares = [study.swapped(level) for level in study.LEVELS]
    assert shares == sorted(shares)
    assert shares[0] == 0 and shares[-1] < 0.5


@pytest.mark.parametrize("parameters", study.LADDER)
def test_the_ladder_counts_right_and_rises(parameters):
    assert sum(value.numel() for value in minimum(**study.LADDER[parameters]).parameters()) == parameters
    assert list(study.LADDER) == sorted(study.LADDER)


@pytest.fixture
def planted():
    """Accuracy rises with parameters and falls with noise; the best by training accuracy is not the best there is."""
    rows = []
    for noise in study.LEVELS:
        for rank, parameters in enumerate(study.LADDER):
            for seed, shift in enumerate((-0.06, 0.0, 0.06)):
                accuracy = 0.7 + 0.06 * rank - 0.006 * noise + shift
                rows.append(
                    {
                        "dataset": "3.0",
                        "noise": noise,
                        "parameters": parameters,
                        "seed": seed,
                        "train_accuracy": 1 - abs(shift - 0.06),
                        "validation_accuracy": accuracy,
                        "outcome": "trained",
                    }
                )
    return rows


def test_parameters_needed_rise_with_noise_and_with_the_goal(planted):
    for chosen in (False, True):
        needed = np.array(
            [[study.needed(planted, "3.0", n, goal, chosen) for n in study.LEVELS] for goal in study.GOALS]
        )
        for axis in (0, 1):
            following, before = np.moveaxis(needed, axis, 0)[1:], np.moveaxis(needed, axis, 0)[:-1]
            assert (following >= before).all()
    assert study.needed(planted, "3.0", 0, 0.8, chosen=False) == 61
    assert study.needed(planted, "3.0", 50, 0.95, chosen=False) == np.inf


def test_the_best_is_chosen_by_training_accuracy():
    rows = [{"train_accuracy": 0.9, "validation_accuracy": 0.7}, {"train_accuracy": 0.8, "validation_accuracy": 0.99}]
    assert study.best(rows) == 0.7


def test_findings_say_the_numbers(planted):
    said = " ".join(study.findings(planted))
    assert "Scaling at noise 30 (22.6 % of the pixels): 16 parameters reach 0.52 (quartiles 0.49 to 0.55)" in said
    assert "more than 1,131 at noise 50" in said
    assert "109 parameters and a validation accuracy of 0.930" in said


def test_a_tiny_run_has_the_parameters_and_repeats_itself():
    task = {"dataset": "3.0", "noise": 20, "parameters": 25}
    rows = study.run(task, Effort(seeds=2, epochs=1, train=16, validation=8))
    assert rows == study.run(task, Effort(seeds=2, epochs=1, train=16, validation=8))
    assert [row["seed"] for row in rows] == [0, 1]
    assert set().union(*rows) <= set(study.NOISE.columns)
