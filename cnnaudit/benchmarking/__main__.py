"""`python -m cnnaudit.benchmarking {gate, learn}`: hold a run against the stored baseline, or make that baseline."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from cnnaudit.benchmarking.baseline import Baseline, gate, learn
from cnnaudit.benchmarking.machine import slug
from cnnaudit.core.errors import AuditError

Run = Mapping[str, Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: nothing slower than its noise; 1: something is; 2: wrong use."""
    parser = argparse.ArgumentParser(prog="python -m cnnaudit.benchmarking", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("gate", help="compare a run (pytest-benchmark's JSON) with this machine's baseline")
    check.add_argument("run", type=Path)
    make = commands.add_parser("learn", help="run the benchmarks several times and store the result as the baseline")
    make.add_argument("--runs", type=int, default=8)
    make.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    for command in (check, make):
        command.add_argument("--baselines", type=Path, help="default: baselines/benchmarks")
    options = parser.parse_args(arguments)
    folder = options.baselines or Path(str(resources.files("cnnaudit.baselines") / "benchmarks"))
    try:
        return _gate(options.run, folder) if options.command == "gate" else _learn(options.runs, options.device, folder)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2


def read_run(path: Path) -> dict[str, tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]]:
    """The runs in pytest-benchmark's JSON, by device: the machine and, by benchmark, its `reference` and `cost`.

    Raises:
        AuditError: the file is missing, no JSON, or holds no relative costs.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    except (OSError, ValueError, KeyError) as error:
        raise AuditError(f"{path}: expected the file of --benchmark-json, got {error!r}") from None
    runs: dict[str, tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]] = {}
    for entry in entries:
        if info := entry["extra_info"].get("cnnaudit"):
            _, results = runs.setdefault(info["machine"]["device"], (info["machine"], {}))
            results[info["name"]] = {"reference": info["reference"], "cost": info["cost"]}
    if not runs:
        raise AuditError(f"{path} holds no relative costs; run `make bench`")
    return runs


def _gate(path: Path, folder: Path) -> int:
    slower = 0
    for machine, results in read_run(path).values():
        file = folder / f"{slug(dict(machine))}.json"
        if not file.is_file():
            print(f"no baseline for this machine ({machine['processor']}, {machine['device']}): nothing compared.")
            print("Store one with: python -m cnnaudit.benchmarking learn")
            continue
        baseline = Baseline.load(file)
        if differing := [key for key, value in baseline.machine.items() if machine.get(key) != value]:
            known = ", ".join(f"{key}: {baseline.machine[key]} -> {machine.get(key)}" for key in differing)
            print(f"{file.name} was measured under other conditions ({known}): nothing compared.")
            continue
        verdicts = gate(results, baseline)
        for verdict in verdicts:
            if verdict.change is None or verdict.limit is None:
                print(f"{verdict.outcome:<7} {verdict.name}")
            elif verdict.outcome != "same":
                print(f"{verdict.outcome:<7} {verdict.name}: {verdict.change:.2f}x, noise up to {verdict.limit:.2f}x")
        count = sum(verdict.outcome == "slower" for verdict in verdicts)
        print(f"{machine['device']}: {len(verdicts)} benchmarks, {count} slower than the noise of the baseline")
        slower += count
    return int(slower > 0)


def _learn(count: int, device: str, folder: Path) -> int:
    runs: list[Run] = []
    machine: Mapping[str, Any] = {}
    for number in range(count):
        print(f"run {number + 1} of {count}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "run.json"
            command = [sys.executable, "-m", "pytest", "--pyargs", "cnnaudit.suites.benchmarks", "-q", "-k", device]
            command += ["-p", "no:xdist", "-p", "no:randomly", f"--benchmark-json={file}"]
            if subprocess.run(command, check=False).returncode:
                raise AuditError("the benchmarks failed; nothing was stored")
            ((machine, results),) = read_run(file).values()
            runs.append(results)
    print(f"wrote {learn(runs, machine).write(folder)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
