"""What a context hands to a check: corrected errors, judged intervals, fine resamples; and the error of a run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cnnaudit.checks import CheckContext, check, run
from cnnaudit.checks.context import verdict
from cnnaudit.checks.nulls import rejudge, summarize
from cnnaudit.core.profiles import profile_named
from cnnaudit.core.statistics import gate_confidence, proportion_interval
from cnnaudit.target import AuditTarget

IMAGES = torch.zeros(400, 1, 1, 1)


def target(name="demo", **settings):
    splits = {"validation": (IMAGES, torch.arange(400) % 2)}
    return AuditTarget.from_arrays(
        name, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1, 2)), splits, ("a", "b"), **settings
    )


def gate(id, body, **settings):
    given = {"direction": "at_most", "tolerance": 0.1, "gate": True} | settings
    return check(id, question="?", statistic="s", unit="u", remedy="mend", reference="", **given)(body)


def context(confidence=0.95, profile="quick", tolerance=0.1, direction="at_most"):
    asked = gate("demo.a", lambda context: None, direction=direction)
    return CheckContext(asked, target(), tolerance, 0, profile_named(profile), confidence, True)


def test_findings_of_one_check_share_its_error():
    assert context(0.96).among(4).confidence == pytest.approx(0.99)
    assert context(0.96).among(1).confidence == context(0.96).among(0).confidence == 0.96


def test_a_finer_confidence_takes_more_resamples():
    assert context(0.95).resamples == 1_000
    assert context(1 - 1e-3).resamples == 4_000  # four values in the tail
    assert context(0.95, "deep").resamples == 10_000


@pytest.mark.parametrize(
    ("interval", "at_most", "at_least"),
    [
        ((0.0, 0.1), "pass", "inconclusive"),
        ((0.1, 0.3), "inconclusive", "pass"),
        ((0.11, 0.3), "fail", "pass"),
        ((0.0, 0.09), "pass", "fail"),
        ((0.1, 0.1), "pass", "pass"),
    ],
)
def test_an_interval_that_touches_the_tolerance_is_no_fail(interval, at_most, at_least):
    assert verdict(interval, 0.1, "at_most") == at_most
    assert verdict(interval, 0.1, "at_least") == at_least
    rows = [{"seed": 0, "statistic": 0.1, "interval": interval}, {"seed": 1, "statistic": None, "interval": None}]
    assert rejudge(rows, "at_most", 0.1) == [at_most, "not_applicable"]


def test_what_is_nearest_to_the_tolerance_and_could_be_told_apart():
    found = context().judge(0.05, (0.01, 0.15), n=100, summary="s")
    assert found.detectable_effect == pytest.approx(0.2)  # the tolerance and the upper half of the interval
    assert found.needed_n == 400  # half the width takes four times the images
    low = context(direction="at_least").judge(0.15, (0.05, 0.19), n=50, summary="s")
    assert low.detectable_effect == pytest.approx(0.0)
    assert low.needed_n in (200, 201)  # rounded up
    beyond = context().judge(0.12, (0.02, 0.16), n=4, summary="s")
    assert beyond.needed_n in (100, 101)  # the lower half, .1, is five times the distance
    assert context().judge(0.1, (0.0, 0.2), n=100, summary="s").needed_n is None


def test_more_images_than_the_target_has_are_not_promised():
    assert context().judge(0.09, (0.0, 0.2), n=100, summary="s").needed_n is None
    assert context().judge(0.09, (0.0, 0.2), n=100, n_unit="units", summary="s").needed_n == 12_100


def test_draws_belong_to_the_check_the_target_and_the_seed():
    first = context()
    same, other = replace(first), replace(first, seed=1)
    assert first.generator("x").random() == same.generator("x").random() != other.generator("x").random()
    assert first.generator("x").random() != first.generator("y").random()
    assert first.torch_generator("x").initial_seed() == same.torch_generator("x").initial_seed()
    assert first.torch_generator("x").initial_seed() != other.torch_generator("x").initial_seed()


def test_rates_are_counted_over_clean_and_planted_targets_apart():
    def rows(*intervals):
        return [{"seed": k, "statistic": i and sum(i) / 2, "interval": i and list(i)} for k, i in enumerate(intervals)]

    populations = [
        {"name": "c", "kind": "clean", "targets": rows((0.0, 0.05), (0.2, 0.3), (0.05, 0.2), None)},
        {"name": "d", "kind": "defect", "targets": rows((0.5, 0.6), (0.0, 0.01))},
    ]
    found = summarize(populations, "at_most", 0.1)
    assert (found["false_alarms"]["count"], found["false_alarms"]["n"]) == (1, 3)
    assert (found["passes_when_clean"]["count"], found["power"]["count"], found["power"]["n"]) == (1, 1, 2)
    low, high = proportion_interval(1, 3)
    assert found["false_alarms"]["interval"] == [pytest.approx(low, rel=1e-3), pytest.approx(high, rel=1e-3)]
    assert summarize(populations, "at_most", 0.4)["false_alarms"]["count"] == 0  # judged again, not measured again
    assert found["populations"][0]["verdicts"] == {"pass": 1, "fail": 1, "inconclusive": 1, "not_applicable": 1}
    assert found["populations"][0]["quantiles"]["50 %"] == pytest.approx(0.125)


def test_all_gates_of_a_run_together_fail_a_clean_target_in_at_most_five_percent(monkeypatch):
    """The worst case: the true share of every gate lies on its tolerance; twenty independent gates, 600 targets."""

    def body(context):
        return context.judge_share(int(context.generator().binomial(400, 0.1)), 400, summary="s")

    gates = {f"demo.g{k}": gate(f"demo.g{k}", body) for k in range(20)}
    monkeypatch.setattr(run, "catalogue_of", lambda target: gates)
    assert run.gates(target()) == 20
    failed = sum(any(f.verdict == "fail" for f in run.audit(target(f"t{k}"))) for k in range(600))
    low, high = proportion_interval(failed, 600)
    assert low <= 0.05, f"{failed} of 600 clean targets fail a gate ({low:.3f} to {high:.3f})"
    uncorrected = sum(
        any(np.random.default_rng([k, g]).binomial(400, 0.1) > 400 * 0.1 + 1.96 * 6 for g in range(20))
        for k in range(200)
    )
    assert uncorrected > 60, "without the correction the same run fails often, so that the test can fail"
    assert run.run_check(gates["demo.g0"], target())[0].confidence == pytest.approx(gate_confidence(20))
