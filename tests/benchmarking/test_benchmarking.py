"""Workloads do what they say, and the gate's false alarms are as rare as promised."""

import json
from importlib import resources
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnaudit.benchmarking import Baseline, convolution, gate, learn, matrix_product, measure, memory_copy
from cnnaudit.benchmarking.__main__ import main
from cnnaudit.benchmarking._measure import median_ranks, summarize
from cnnaudit.benchmarking.baseline import noise_limit
from cnnaudit.benchmarking.machine import identity, slug
from cnnaudit.benchmarking.workloads import Shape, Workload
from cnnaudit.core.errors import AuditError

SMALL = Shape(2, 4, 6)
MACHINE = identity()


@pytest.mark.parametrize("kind", ["1x1", "3x3", "5x5", "depthwise"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_input_gradient_is_the_gradient_of_the_forward_pass(kind, channels_last):
    forward = convolution(kind, "forward", dtype=torch.float64, channels_last=channels_last, shape=SMALL)
    backward = convolution(kind, "input_gradient", dtype=torch.float64, channels_last=channels_last, shape=SMALL)
    free = dict(zip(forward.run.__code__.co_freevars, (cell.cell_contents for cell in forward.run.__closure__)))
    images = free["images"].clone().requires_grad_()
    output = torch.nn.functional.conv2d(images, free["weight"], padding=free["padding"], groups=free["groups"])
    (expected,) = torch.autograd.grad(output.sum(), images)
    torch.testing.assert_close(backward.run()[0], expected)


def test_operations_are_counted_by_hand():
    assert convolution("3x3", "forward", dtype=torch.float32, shape=SMALL).flops == 2 * 2 * 36 * 4 * 4 * 9
    assert convolution("depthwise", "forward", dtype=torch.float32, shape=SMALL).flops == 2 * 2 * 36 * 4 * 9
    product = matrix_product(1e9, dtype=torch.float32)
    assert product.flops == pytest.approx(1e9, rel=0.15)
    assert memory_copy(8_000_000).bytes == pytest.approx(8_000_000, rel=1e-6)


def test_a_workload_that_does_twice_the_work_costs_twice():
    counted = Workload("w", lambda: None, flops=2.0, bytes=8.0)
    cost = summarize(np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]), counted, counted)
    assert (cost.ratio, cost.seconds, cost.peak_fraction) == (2.0, 4.0, 0.5)


def test_measure_runs_workload_and_reference_in_turn():
    order = []
    own, other = (Workload(name, lambda name=name: order.append(name), 1.0, 1.0) for name in "ab")
    measure(own, other, rounds=4, warm_up=0)
    assert order == ["b", "a"] * 4


@pytest.mark.parametrize("n", [6, 15, 25, 101])
def test_the_ranks_enclose_the_median_with_the_confidence(n):
    low, high = median_ranks(n)
    outside = 2 * sum(comb(n, k) for k in range(low + 1)) / 2**n  # fewer than low + 1 values below the median
    assert 0 <= low < high == n - 1 - low
    assert outside <= 0.05 or low == 0


def run_of(ratio):
    cost = summarize(np.full(9, ratio), np.ones(9), *[Workload("w", lambda: None, 1.0, 1.0)] * 2)
    return {"conv": {"reference": "matrix product", "cost": cost.to_json()}}


def test_a_fixed_seed_of_runs_of_the_same_code_is_rarely_called_slower():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(1000):
        ratios = np.exp(rng.normal(0, 0.03, 9))
        alarms += ratios[-1] > np.exp(np.log(ratios[:-1]).mean()) * noise_limit(ratios[:-1], 0.95)
    assert alarms / 1000 == pytest.approx(0.025, abs=0.012)


def test_the_gate_names_what_got_slower():
    baseline = learn([run_of(r) for r in (1.0, 1.02, 0.98, 1.01)], MACHINE)
    assert [v.outcome for v in gate(run_of(1.01), baseline)] == ["same"]
    (slower,) = gate(run_of(1.5), baseline)
    assert slower.outcome == "slower"
    assert slower.change == pytest.approx(1.5, rel=0.01)
    assert [v.outcome for v in gate(run_of(0.5), baseline)] == ["faster"]
    assert {v.outcome for v in gate({"other": run_of(1.0)["conv"]}, baseline)} == {"gone", "new"}


def test_a_tolerance_needs_three_runs_of_the_same_benchmarks():
    with pytest.raises(AuditError, match="at least 3"):
        learn([run_of(1.0)] * 2, MACHINE)
    with pytest.raises(AuditError, match="different benchmarks"):
        learn([run_of(1.0), run_of(1.0), {"other": {}}], MACHINE)


def test_a_baseline_survives_its_file(tmp_path):
    baseline = learn([run_of(r) for r in (1.0, 1.02, 0.98)], MACHINE)
    assert Baseline.load(baseline.write(tmp_path)) == baseline


@pytest.mark.parametrize(
    ("break_it", "place"),
    [
        (lambda c: c.update(schema="other/9"), "schema"),
        (lambda c: c["machine"].pop("torch"), "machine"),
        (lambda c: c["benchmarks"]["conv"]["ratios"].pop(), "ratios"),
        (lambda c: c["benchmarks"]["conv"]["cost"].update(ratio=-1), "cost/ratio"),
    ],
)
def test_a_baseline_that_does_not_fit_the_schema_is_refused_with_the_place(tmp_path, break_it, place):
    path = learn([run_of(r) for r in (1.0, 1.02, 0.98)], MACHINE).write(tmp_path)
    content = json.loads(path.read_text())
    break_it(content)
    path.write_text(json.dumps(content))
    with pytest.raises(AuditError, match=place):
        Baseline.load(path)


def test_the_stored_baselines_fit_the_schema():
    for path in Path(str(resources.files("cnnaudit.baselines") / "benchmarks")).glob("*.json"):
        if path.name != "schema.json":
            assert slug(dict(Baseline.load(path).machine)) == path.stem


def run_file(tmp_path, ratio):
    info = {"name": "conv", "machine": MACHINE, **run_of(ratio)["conv"]}
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"benchmarks": [{"extra_info": {"cnnaudit": info}}]}))
    return str(path)


def test_the_command_fails_only_where_something_got_slower(tmp_path, capsys):
    arguments = ["--baselines", str(tmp_path)]
    assert main(["gate", run_file(tmp_path, 1.0), *arguments]) == 0
    assert "no baseline for this machine" in capsys.readouterr().out
    learn([run_of(r) for r in (1.0, 1.02, 0.98)], MACHINE).write(tmp_path)
    assert main(["gate", run_file(tmp_path, 1.0), *arguments]) == 0
    assert main(["gate", run_file(tmp_path, 9.0), *arguments]) == 1
    assert "slower" in capsys.readouterr().out
    assert main(["gate", str(tmp_path / "absent.json"), *arguments]) == 2


def test_another_torch_is_not_compared(tmp_path, capsys):
    learn([run_of(r) for r in (1.0, 1.02, 0.98)], {**MACHINE, "torch": "0.1"}).write(tmp_path)
    assert main(["gate", run_file(tmp_path, 9.0), "--baselines", str(tmp_path)]) == 0
    assert "torch: 0.1 ->" in capsys.readouterr().out
