"""`cnnaudit train`: trains the network of an audit file or of a recipe, and shows how that went on one page."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import DataError
from cnnaudit.pages.arguments import at_least, folder, positive_float, positive_int, seed
from cnnaudit.pages.output import prepared, resumable, write

if TYPE_CHECKING:
    from cnnaudit.training.course import Epoch
    from cnnaudit.training.plan import Plan
    from cnnaudit.training.recipes import Recipe

HELP = "train the network of an audit file or a published recipe, with a page of curves, confusions and the network"
WEIGHTS = "weights.safetensors"
#: Options that replace a choice of the plan, by the name that they have there.
_CHOICES = (
    *("optimizer", "learning_rate", "schedule", "epochs", "batch_size", "weight_decay", "dropout", "shift", "flip"),
    *("rotation", "class_weights", "patience", "first_layer", "seed"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit train`."""
    parser.add_argument(
        "target",
        metavar="AUDIT.TOML|RECIPE",
        help="audit file, or one of mnist-lenet, cifar10-vgg4, mnist-cnn, mnist-lenet5",
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="folder of a recipe's data; nothing is downloaded")
    parser.add_argument(
        "--output", type=folder, metavar="DIR", help="folder to write to (default: reports/TARGET/training)"
    )
    parser.add_argument("--optimizer", metavar="NAME", help="sgd, adam, adamw, adadelta or rmsprop (default: adam)")
    parser.add_argument("--learning-rate", type=positive_float, metavar="X", help="default: the optimizer's usual one")
    parser.add_argument("--schedule", metavar="NAME", help="constant, cosine, linear or step (default: constant)")
    parser.add_argument("--epochs", type=positive_int, help="passes over the training images (default: 10)")
    parser.add_argument("--batch-size", type=positive_int, metavar="N", help="images of a step (default: 128)")
    parser.add_argument("--weight-decay", type=positive_float, metavar="X", help="default: 0")
    parser.add_argument("--dropout", type=float, metavar="RATE", help="of all dropout layers (default: as built)")
    parser.add_argument("--shift", type=positive_float, metavar="SHARE", help="largest random shift, of the side")
    parser.add_argument("--flip", action="store_true", default=None, help="mirror images left to right at random")
    parser.add_argument("--rotation", type=positive_float, metavar="DEGREES", help="largest random rotation")
    parser.add_argument(
        "--class-weights", action="store_true", default=None, help="count every class alike in the loss"
    )
    parser.add_argument(
        "--patience",
        type=at_least(1),
        metavar="N",
        help="stop N epochs after the lowest validation loss, keep the best",
    )
    parser.add_argument(
        "--first-layer", metavar="LAYER", help="train only this layer and those after it; the others stay as loaded"
    )
    parser.add_argument(
        "--from-weights", action="store_true", help="go on from the file's weights instead of starting anew"
    )
    parser.add_argument("--seed", type=seed, help="seed of every random choice (default: 0)")
    parser.add_argument("--tensorboard", type=folder, metavar="DIR", help="also write what TensorBoard shows")


def run(options: argparse.Namespace) -> int:
    """Train, keep the weights after every epoch, write the page, and print where.

    Raises:
        AuditError: a wrong audit file, recipe or option; data that are missing or do not fit.
        KeyboardInterrupt: interrupted; the epochs that are done are kept, and the same command continues.
    """
    from cnnaudit.checks.audit_file import load_target
    from cnnaudit.pages.train.page import write_training
    from cnnaudit.report.paths import folder_name
    from cnnaudit.training import train
    from cnnaudit.training.checkpoints import weights_file

    recipe, name = _recipe(options)
    plan = plan_of(options, recipe)
    if recipe is None:
        target = load_target(options.target)
        output = prepared(options.output or Path("reports") / folder_name(target.name) / "training")
        file = Path(options.target)
    else:
        output = prepared(options.output or Path("reports") / name / "training")
        file = output / "audit.toml"
        write({file: _audit_file(name, options.root, output, None)})
        target = load_target(file)
    with contextlib.ExitStack() as stack:
        board = _board(options.tensorboard, stack)

        def told(epoch: Epoch) -> None:
            print(line(epoch, plan.epochs), flush=True)
            if board:
                board.epoch(epoch)

        with resumable(lambda: f"the epochs that are done are kept in {output}"):
            splits = target.split("train"), target.split("validation")
            course = train(target.model, *splits, plan, output, target.device, told)
        if board:
            board.network(target)
    content = (output / weights_file(course.chosen)).read_bytes()
    files: dict[Path, str | bytes] = {output / WEIGHTS: content}
    if recipe is not None:
        files[file] = _audit_file(name, options.root, output, WEIGHTS)
    write(files)
    for path in [*files, *write_training(target, course, output, recipe, _command(options))]:
        print(f"wrote {path}")
    for warning in board.warnings if board else ():
        print(f"warning: {warning}", file=sys.stderr)
    if recipe is None:
        print(f"To audit it, set model.weights in {file} to {os.path.relpath(output / WEIGHTS, file.parent)}")
    else:
        print(f"To audit it: cnnaudit audit {file}")
    return 0


def plan_of(options: argparse.Namespace, recipe: Recipe | None) -> Plan:
    """The recipe's plan, or the usual one, with what the options say.

    Raises:
        DataError: a value is outside its range.
    """
    from cnnaudit.training.plan import Plan

    given: dict[str, Any] = {name: getattr(options, name) for name in _CHOICES if getattr(options, name) is not None}
    if "optimizer" in given and "learning_rate" not in given:
        given["learning_rate"] = None  # the usual one of the optimizer, not the recipe's
    return replace(recipe.plan if recipe else Plan(), **given, anew=not options.from_weights)


def line(epoch: Epoch, total: int) -> str:
    """What one epoch came to."""
    return (
        f"epoch {epoch.number} of {total}: loss {epoch.loss:.4f}, accuracy {epoch.accuracy:.4f}; "
        f"validation loss {epoch.validation_loss:.4f}, accuracy {epoch.validation_accuracy:.4f}"
    )


def _recipe(options: argparse.Namespace) -> tuple[Recipe | None, str]:
    """The recipe that is named, where no file is."""
    from cnnaudit.training.recipes import recipe_named

    if options.target.endswith(".toml") or Path(options.target).is_file():
        if options.root is not None:
            raise DataError("--root is for recipes; an audit file says itself where its data are")
        return None, ""
    recipe = recipe_named(options.target)
    if options.root is None or options.from_weights:
        what = "starts anew, without --from-weights" if options.from_weights else "needs --root, the folder of its data"
        raise DataError(f"the recipe {options.target} {what}")
    return recipe, options.target


def _audit_file(name: str, root: Path, output: Path, weights: str | None) -> str:
    """The audit file of a recipe in the folder that is written to, with the data's place relative to it."""
    from cnnaudit.training.recipes import audit_file

    try:
        place = Path(os.path.relpath(root, output))
    except ValueError:  # another drive
        place = root.resolve()
    return audit_file(name, place, weights)


def _board(folder: Path | None, stack: contextlib.ExitStack) -> Any:
    """TensorBoard's writer, where a folder for it is named."""
    if folder is None:
        return None
    from cnnaudit.pages.train.tensorboard import TensorBoard

    return stack.enter_context(TensorBoard(prepared(folder, "--tensorboard")))


def _command(options: argparse.Namespace) -> str:
    """The command that does it again."""
    words = ["cnnaudit", "train", options.target]
    for name in ("root", *_CHOICES, "from_weights"):
        value = getattr(options, name)
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)
