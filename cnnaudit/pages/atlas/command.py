"""`cnnaudit atlas`: a page and grids of pictures per layer, of what drives each of its units."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Literal

from cnnaudit.pages.arguments import file, folder, image, jobs, positive_int, seed
from cnnaudit.pages.output import prepared, resumable
from cnnaudit.report.paths import folder_name

HELP = "show what drives each unit of a layer: optimized images, and images of the data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit atlas`."""
    parser.add_argument("config", type=Path, metavar="AUDIT.TOML", help="audit file of the model and its images")
    parser.add_argument(
        "--layers",
        nargs="+",
        default=(),
        metavar="NAME",
        help="layers named as in named_modules(), or calls such as block1/relu:2; without it they are listed",
    )
    parser.add_argument(
        "--units",
        type=units,
        metavar="N",
        help="all, a number of units, or the units themselves such as 3,17,90 (default: what ten minutes allow)",
    )
    parser.add_argument(
        "--goal",
        default="unit",
        choices=["unit", "channel"],
        help="activation to drive: the middle of the unit's map, or the map's mean (default: unit)",
    )
    parser.add_argument("--steps", type=positive_int, help="optimization steps (default: those of the recipe)")
    parser.add_argument(
        "--size",
        type=positive_int,
        metavar="PIXELS",
        help="side of the optimized images (default: the model's input size, at most 128)",
    )
    parser.add_argument("--recipe", default="default", metavar="NAME", help="a recipe in cnnaudit.optimization.RECIPES")
    parser.add_argument("--batch-size", type=positive_int, help="units optimized together (default: 8, on a GPU 512)")
    parser.add_argument(
        "--dtype", default="fp32", choices=["fp32", "bf16"], help="precision of the optimization (default: fp32)"
    )
    parser.add_argument("--jobs", type=jobs, default=1, help="number of processes; -1: one per core (default: 1)")
    parser.add_argument("--seed", type=seed, default=0, help="seed of every random choice (default: 0)")
    parser.add_argument(
        "--output", type=folder, default="reports", metavar="DIR", help="folder to write to (default: reports)"
    )
    parser.add_argument(
        "--checkpoints",
        nargs="+",
        type=file,
        default=(),
        metavar="FILE",
        help="weights saved during training, first to last: show when each unit learns what it looks for",
    )
    parser.add_argument("--classes", action="store_true", help="also show what the model takes for each class")
    parser.add_argument(
        "--strip", action="store_true", help="show the images of the first units after 1, 4, 16, … steps"
    )
    parser.add_argument(
        "--families", action="store_true", help="show the first units by every family of regularizers, side by side"
    )
    parser.add_argument(
        "--diversity", action="store_true", help="show four different images of each of the first units"
    )
    parser.add_argument("--interaction", action="store_true", help="show the first units maximized two at a time")
    parser.add_argument(
        "--image",
        type=image,
        metavar="IMAGE",
        help="an image file or validation[17]: show what layers keep of it (inversion) and exaggerate (caricature)",
    )


def run(options: argparse.Namespace) -> int:
    """Write the pages of a target's layers, and print where.

    Raises:
        AuditError: a wrong audit file, a layer or unit that the model does not have, a size that it rejects, a file
            that cannot be written.
        KeyboardInterrupt: interrupted; finished batches are kept, and the same command continues.
    """
    from cnnaudit.checks.audit_file import load_target
    from cnnaudit.pages.atlas.files import Options, write_atlas

    target = load_target(options.config)
    work = prepared(options.output) / folder_name(target.name) / "atlas" / "work"
    asked = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    lists = {name: tuple(asked[name]) for name in ("layers", "checkpoints")}
    with resumable(lambda: f"{_batches(work)} in {work}"):
        for path in write_atlas(target, Options(**{**asked, **lists}), lambda text: print(text, flush=True)):
            print(f"wrote {path}")
    return 0


def units(text: str) -> Literal["all"] | int | tuple[int, ...]:
    """`all`, a number of units, or the units themselves with commas between them.

    Example:
        >>> units("12"), units("3,17")
        (12, (3, 17))
    """
    if text == "all":
        return "all"
    parts = [part.strip() for part in text.split(",") if part.strip()]
    numbers = tuple(int(part) for part in parts if re.fullmatch("[0-9]{1,9}", part))
    if not parts or len(numbers) < len(parts) or ("," not in text and numbers == (0,)):
        raise argparse.ArgumentTypeError(f"expected all, a number of units, or units such as 3,17,90, got {text!r:.60}")
    return numbers if "," in text else numbers[0]


def _batches(work: Path) -> str:
    count = len(list(work.glob("*/m*.npz")))
    return f"{count} finished {'batch is' if count == 1 else 'batches are'}"
