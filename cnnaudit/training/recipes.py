"""The trainings of the documents of origin, by name: network, data and plan, each a target of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnaudit.core.errors import DataError
from cnnaudit.core.toml_text import toml
from cnnaudit.core.wording import nearest
from cnnaudit.references import Published, published
from cnnaudit.training.plan import Plan

DIGITS = tuple("0123456789")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Recipe:
    """A published training.

    Attributes:
        says: what it is, in a sentence.
        source, arguments: of the network, as an audit file has them.
        reader: of the data, `module:callable`, called with `root` and `split`.
        reading: more arguments of the reader.
        parameters: that the network has.
        accuracy: the published number, where there is one.
        published_images: training images that the number rests on, where a copy may have fewer.
    """

    says: str
    source: str
    reader: str
    classes: tuple[str, ...]
    channels: int
    side: int
    plan: Plan
    parameters: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    accuracy: Published | None = None
    published_images: int = 0


RECIPES: Mapping[str, Recipe] = {
    "mnist-lenet": Recipe(
        "LeNet on MNIST as Lees (2017) trained it: four fifths of all images, Adadelta, 12 epochs",
        "cnnaudit.models:lenet",
        "cnnaudit.data:mnist",
        DIGITS,
        1,
        28,
        Plan("adadelta", epochs=12, batch_size=128),
        int(published("lenet.parameters").value),
        reading={"held_out": 0.2},
        accuracy=published("lenet.accuracy"),
        published_images=56_000,
    ),
    "cifar10-vgg4": Recipe(
        "VGG4 on CIFAR-10 as Lees (2017) trained it: RMSprop, 30 epochs, shifts and reflections",
        "cnnaudit.models:vgg4",
        "cnnaudit.data:cifar10",
        CIFAR10,
        3,
        32,
        Plan("rmsprop", learning_rate=5e-4, epochs=30, batch_size=128, shift=0.1, flip=True),
        int(published("vgg4.parameters").value),
        accuracy=published("vgg4.accuracy"),
        published_images=50_000,
    ),
    "mnist-cnn": Recipe(
        "the network on MNIST of Aouassar, Madhar and Gea (2019): Adadelta, 10 epochs, dropout",
        "cnnaudit.models:mnist_cnn",
        "cnnaudit.data:mnist",
        DIGITS,
        1,
        28,
        Plan("adadelta", epochs=10, batch_size=128),
        int(published("mnist_cnn.parameters").value),
        accuracy=published("mnist_cnn.accuracy"),
        published_images=60_000,
    ),
    "mnist-lenet5": Recipe(
        "LeNet-5 on MNIST, with its 84 units before the output: SGD, 10 epochs",
        "cnnaudit.models:lenet5",
        "cnnaudit.data:mnist",
        DIGITS,
        1,
        28,
        Plan("sgd", learning_rate=0.05, epochs=10, batch_size=64),
        61_706,
        published_images=60_000,
    ),
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        DataError: there is none.

    Example:
        >>> recipe_named("mnist-lenet").parameters
        113386
    """
    if name not in RECIPES:
        raise DataError(
            f"{name!r} is neither an audit file nor a recipe ({', '.join(RECIPES)}){nearest(name, RECIPES)}"
        )
    return RECIPES[name]


def audit_file(name: str, root: Path, weights: str | None = None) -> str:
    """The audit file of a recipe, as TOML.

    Args:
        root: folder of the data, absolute or relative to the file's own.
        weights: the weight file beside it; None: the network is not trained yet.
    """
    recipe = recipe_named(name)
    lines = [
        f"# {recipe.says}.",
        "[model]",
        f"name = {toml(name)}",
        f"source = {toml(recipe.source)}",
        *([f"arguments = {toml(dict(recipe.arguments))}"] if recipe.arguments else []),
        *([f"weights = {toml(weights)}"] if weights else []),
        "",
        "[input]",
        f"channels = {recipe.channels}",
        f"size = [{recipe.side}, {recipe.side}]",
        "",
        "[data]",
        f"classes = {toml(list(recipe.classes))}",
    ]
    for split, part in (("train", "train"), ("validation", "test")):
        arguments = {"root": root.as_posix(), "split": part, **recipe.reading}
        lines += ["", f"[data.{split}]", f"source = {toml(recipe.reader)}", f"arguments = {toml(arguments)}"]
    return "\n".join(lines) + "\n"
