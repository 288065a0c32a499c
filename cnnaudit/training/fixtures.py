"""Train the reference models again: `python -m cnnaudit.training.fixtures [NAME …]`, from the root of a checkout.

Each file of `fixtures/targets/` says what model and what data it is about; here stand only the hyperparameters. Several
seeds are trained, the best by *training* accuracy is kept in `fixtures/weights/`, and `fixtures/manifest.json` records
what came of every seed, with the checksum of the file. Target files are read, never written.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.progress import progress

if TYPE_CHECKING:
    import torch
    from torch import nn

SHAPES: Mapping[str, Any] = {"epochs": 200, "batch_size": 32, "learning_rate": 0.01, "schedule": "cosine"}
DIGITS: Mapping[str, Any] = {"epochs": 30, "batch_size": 32, "learning_rate": 0.003, "schedule": "cosine"}
SEEDS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the targets named on the command line, or all of them."""
    import joblib

    parser = argparse.ArgumentParser(prog="python -m cnnaudit.training.fixtures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="targets to train; all of them without a name")
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures"), help="the folder (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds per target (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes, one thread each (default: %(default)s)")
    options = parser.parse_args(arguments)
    files = {path.stem: path for path in sorted((options.fixtures / "targets").glob("*.toml"))}
    unknown = sorted(set(options.names) - set(files))
    if unknown or not files:
        parser.error(f"no target {', '.join(unknown)} in {options.fixtures / 'targets'}; it has {', '.join(files)}")
    names = options.names or list(files)
    tasks = [(name, seed) for name in names for seed in range(options.seeds)]
    run = joblib.Parallel(n_jobs=options.jobs, return_as="generator")
    results = run(joblib.delayed(train)(files[name], seed) for name, seed in tasks)
    outcomes: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for (name, _), outcome in zip(tasks, progress(results, "training", total=len(tasks))):
        outcomes[name].append(outcome)
    for name, found in outcomes.items():
        _record(options.fixtures, name, files[name], found)
    return 0


def train(path: Path, seed: int) -> dict[str, Any]:
    """One seed of one target: its state, its accuracies, and whether it died (a class is never predicted)."""
    import torch

    from cnnaudit.training import fit

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny steps get slower, not faster, when they are shared among threads
    try:
        target = tomllib.loads(path.read_text(encoding="utf-8"))
        model, data = build(target["model"]), build(target["data"]["train"])
        fit(model, (data.images, data.labels), seed=seed, **training_of(path.stem))
        train_accuracy, predicted = evaluate(model, data)
        validation_accuracy, _ = evaluate(model, build(target["data"]["validation"]))
    finally:
        torch.set_num_threads(threads)
    return {
        "seed": seed,
        "train_accuracy": train_accuracy,
        "validation_accuracy": validation_accuracy,
        "dead": len(set(predicted.tolist())) < len(target["data"]["classes"]),
        "state": {key: value.numpy() for key, value in model.state_dict().items()},
    }


def training_of(name: str) -> Mapping[str, Any]:
    """The hyperparameters of `fit` for a target of that name."""
    return DIGITS if name.startswith("digits") else SHAPES


def build(table: Mapping[str, Any]) -> Any:
    """What a target file's `source = "module:callable"` gives when it is called with the table's `arguments`."""
    module, _, name = table["source"].partition(":")
    return getattr(importlib.import_module(module), name)(**table.get("arguments", {}))


def evaluate(model: nn.Module, data: Any) -> tuple[float, torch.Tensor]:
    """Accuracy on the data, rounded to six digits, and the predicted classes (N,)."""
    import torch

    with torch.no_grad():
        batches = torch.from_numpy(data.images).split(500)  # type: ignore[no-untyped-call]
        predicted = torch.cat([model(batch).argmax(1) for batch in batches])
    return round(float((predicted == torch.from_numpy(data.labels)).double().mean()), 6), predicted


def _record(fixtures: Path, name: str, path: Path, outcomes: Sequence[dict[str, Any]]) -> None:
    """Write the weights of the best seed and its entry of the manifest."""
    import torch
    from safetensors.numpy import save

    best = max(outcomes, key=lambda outcome: (outcome["train_accuracy"], -outcome["seed"]))
    content = save(best["state"])
    weights = fixtures / "weights" / f"{name}.safetensors"
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(content)
    target = tomllib.loads(path.read_text(encoding="utf-8"))
    manifest = fixtures / "manifest.json"
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    entries[f"weights/{name}.safetensors"] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "command": f"python -m cnnaudit.training.fixtures {name} --seeds {len(outcomes)}",
        "target": f"targets/{name}.toml",
        "model": target["model"]["source"],
        "model_arguments": target["model"].get("arguments", {}),
        "parameters": sum(value.size for value in best["state"].values()),
        "training": dict(training_of(name)),
        "seed": best["seed"],
        "chosen_by": "training accuracy",
        "train_accuracy": best["train_accuracy"],
        "validation_accuracy": best["validation_accuracy"],
        "dead_seeds": sum(outcome["dead"] for outcome in outcomes),
        "seeds": [{key: value for key, value in outcome.items() if key != "state"} for outcome in outcomes],
        "torch": torch.__version__,
    }
    manifest.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(
        f"{name}: seed {best['seed']} of {len(outcomes)}, training {best['train_accuracy']:.3f}, "
        f"validation {best['validation_accuracy']:.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
