"""On how many images does one changed pixel flip the class?"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.core.statistics import derive_seed, proportion_interval
from cnnaudit.models import minimum
from cnnaudit.optimization.single_pixel import search
from cnnaudit.studies.study import Effort, Row, Study, Task
from cnnaudit.studies.summary import of_kind, spread
from cnnaudit.studies.thesis import TABLE_I, splits
from cnnaudit.training import train_stacked
from cnnaudit.training.fixtures import build

if TYPE_CHECKING:
    import torch
    from torch import nn


TARGETS = Path("fixtures/targets")
EXAMPLES = 6  # flipped images that are kept of each target
POOLINGS = ("max", "average")


def tasks(effort: Effort) -> list[Task]:
    """The reference targets of a checkout, one each; then networks trained here, by data set and pooling."""
    targets = [{"source": "target", "name": path.stem} for path in sorted(TARGETS.glob("*.toml"))]
    trained = [{"source": "trained", "name": name, "pooling": how} for name in reversed(TABLE_I) for how in POOLINGS]
    return [*trained, *targets]


def run(task: Task, effort: Effort) -> list[Row]:
    """Search one-pixel flips of a reference target, or of freshly trained networks.

    Returns:
        Rows by `kind`: `network` (one each) and, for targets, `example` (a flipped image each).
    """
    if task["source"] == "target":
        return _target(task, effort)
    train, validation = splits(task["name"], effort)
    architecture = partial(minimum, **TABLE_I[task["name"]].arguments, pooling=task["pooling"])
    found = train_stacked(architecture, train, seeds=effort.seeds, epochs=effort.epochs)
    return [
        {**task, "seed": k, **searched(found.model(k), *validation, seed=k)[0], "outcome": found.outcome[k]}
        for k in range(len(found))
    ]


def _target(task: Task, effort: Effort) -> list[Row]:
    """The rows of a reference target."""
    import torch
    from safetensors.torch import load_file

    file = TARGETS / f"{task['name']}.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    model, data = build(table["model"]), build(table["data"]["validation"])
    model.load_state_dict(load_file(file.parent / table["model"]["weights"]))
    classes = table["data"]["classes"]
    per_class = [np.flatnonzero(data.labels == label)[: effort.validation] for label in range(len(classes))]
    chosen = np.sort(np.concatenate(per_class))
    images, labels = torch.from_numpy(data.images[chosen]), torch.from_numpy(data.labels[chosen])
    network, examples = searched(model.eval(), images, labels)
    how = table["model"].get("arguments", {}).get("pooling", "max")
    rows: list[Row] = [{**task, "pooling": how, **network, "outcome": "trained"}]
    for example in examples[:: max(1, len(examples) // EXAMPLES)][:EXAMPLES]:
        named = {key: classes[example[key]] for key in ("label", "before", "after")}
        rows.append({**task, **example, **named, "image": int(chosen[example["image"]])})
    return rows


def searched(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int = 0
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What one changed pixel does to a network: the numbers over all images, and every flipped image.

    Every pixel of every image is tried once, until one flips the class: three quarters of them with the extreme color
    that lowers the margin by its gradient, the others with the opposite of the image (see
    `cnnaudit.optimization.single_pixel.search`). The share is still a lower bound: of each pixel only one color is
    tried.
    """
    import torch

    def answer(batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([model(part) for part in batch.split(512)])  # type: ignore[no-untyped-call]

    before = answer(images).argmax(1)
    random = torch.Generator().manual_seed(derive_seed("studies.single_pixel", seed))
    pixels = images.shape[2] * images.shape[3]
    found = search(answer, model, images, before, pixels, random)
    right = before == labels
    network = {
        "kind": "network",
        "accuracy": round(float(right.double().mean()), 6),
        "images": len(images),
        "flips": len(found.flips),
        "tries": found.tries,
        "lost": sum(bool(right[flip.image]) for flip in found.flips),
    }
    examples = [
        {
            "kind": "example",
            "image": flip.image,
            "row": flip.pixel[0],
            "column": flip.pixel[1],
            "color": float(flip.changed[0, flip.pixel[0], flip.pixel[1]]),
            "label": int(labels[flip.image]),
            "before": flip.before,
            "after": flip.after,
        }
        for flip in found.flips
    ]
    return network, examples


def share(row: Row) -> tuple[float, float, float]:
    """The share of flipped images of a network, with its exact 95 % interval over images."""
    low, high = proportion_interval(int(row["flips"]), int(row["images"]))
    return float(row["flips"]) / float(row["images"]), low, high


def of_source(rows: Sequence[Row], source: str, name: str = "", pooling: str = "") -> list[Row]:
    """The networks of a source, of one name and pooling where they are given; those that died are left out."""
    return [
        row
        for row in of_kind(rows, "network")
        if row["source"] == source
        and row["outcome"] == "trained"
        and (not name or row["name"] == name)
        and (not pooling or row["pooling"] == pooling)
    ]


def example_images(row: Row) -> torch.Tensor:
    """The image of an example row as it was and with its pixel changed: (2, C, H, W)."""
    import torch

    image = torch.from_numpy(_validation_images(row["name"])[row["image"]])
    changed = image.clone()
    changed[:, row["row"], row["column"]] = row["color"]
    return torch.stack((image, changed))


@lru_cache(maxsize=1)
def _validation_images(name: str) -> np.ndarray:
    """The validation images of a reference target."""
    table = tomllib.loads((TARGETS / f"{name}.toml").read_text(encoding="utf-8"))
    return np.asarray(build(table["data"]["validation"]).images)


def findings(rows: Sequence[Row]) -> list[str]:
    """What the rows say: a sentence per reference target, then by pooling."""
    sentences = _headline(rows)
    for row in of_source(rows, "target"):
        value, low, high = share(row)
        sentences.append(
            f"{row['name']}: one changed pixel flips the class of {row['flips']} of {row['images']} images "
            f"({value:.3f}, 95 % interval {low:.3f} to {high:.3f}); {row['lost']} of them were classified correctly "
            f"(accuracy {row['accuracy']:.3f})."
        )
    for dataset, model in TABLE_I.items():
        parts = []
        for pooling in POOLINGS:
            found = of_source(rows, "trained", dataset, pooling)
            if found:
                shares = spread([share(row)[0] for row in found], 2)
                accuracy = spread([float(row["accuracy"]) for row in found], 2)
                parts.append(f"{pooling} pooling {shares} of the images at accuracy {accuracy}, {len(found)} networks")
        if parts:
            sentences.append(
                f"Trained anew on data set {dataset} ({model.shows}), one pixel flips: {'; '.join(parts)}."
            )
    return sentences


def _headline(rows: Sequence[Row]) -> list[str]:
    """How many targets have an image that one pixel flips."""
    targets = of_source(rows, "target")
    if not targets:
        return []
    flipped = [row for row in targets if row["flips"]]
    most: Mapping[str, Any] = max(targets, key=lambda row: share(row)[0])
    return [
        f"One pixel flips at least one image of {len(flipped)} of {len(targets)} reference targets, most on "
        f"{most['name']} ({share(most)[0]:.2f} of the images)."
    ]


SINGLE_PIXEL = Study(
    name="single-pixel",
    title="One changed pixel",
    question="On how many images does one changed pixel flip the class?",
    thesis="The thesis concludes that without noise, where the network learns one feature only, one changed pixel can "
    "turn the decision, from ellipse to triangle for instance; it gives no number.",
    method=(
        "Of each reference target, and of networks trained anew with maximum and with average pooling, every pixel of "
        "every image is set once to black or white until the class changes: the color that the gradient of the margin "
        "asks for at three quarters of the pixels, the opposite of the image at the others.",
        "The share is a lower bound of what both colors at every pixel would flip. Intervals are exact binomial ones "
        "over images for a target; over networks from different first weights the quartiles are given.",
    ),
    columns=(
        "source",
        "name",
        "pooling",
        "kind",
        "seed",
        "outcome",
        "accuracy",
        "images",
        "flips",
        "lost",
        "tries",
        "image",
        "row",
        "column",
        "color",
        "label",
        "before",
        "after",
    ),
    default=Effort(seeds=8, epochs=100, train=1000, validation=50),
    quick=Effort(seeds=3, epochs=25, train=300, validation=12),
    tasks=tasks,
    run=run,
    findings=findings,
)
