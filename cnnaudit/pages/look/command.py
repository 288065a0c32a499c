"""`cnnaudit look`: one page of what a model makes of one image."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnnaudit.pages.arguments import folder, image, output_file, seed
from cnnaudit.pages.output import prepared

HELP = "show what a model makes of one image, layer by layer, on one page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit look`."""
    parser.add_argument(
        "image", type=image, metavar="IMAGE", help="an image file, or validation[17] for one of the target's own images"
    )
    parser.add_argument(
        "--audit-config", type=Path, required=True, metavar="AUDIT.TOML", help="audit file of the model to show"
    )
    parser.add_argument(
        "--output", type=output_file, metavar="FILE", help="page to write (default: reports/TARGET/look-IMAGE.html)"
    )
    parser.add_argument(
        "--layers",
        nargs="+",
        default=(),
        metavar="LAYER",
        help="layers to show, named as in named_modules(), or calls such as block1/relu:2 (default: up to six)",
    )
    parser.add_argument(
        "--class", dest="class_name", metavar="NAME", help="class to explain (default: the predicted one)"
    )
    parser.add_argument(
        "--report",
        type=folder,
        default="reports",
        metavar="DIR",
        help="folder of the audit reports that say which methods can be trusted (default: reports)",
    )
    parser.add_argument(
        "--fidelity",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure which methods can be trusted where no report says so (default: yes)",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of every random choice (default: 0)")


def run(options: argparse.Namespace) -> int:
    """Write the page of one image, and print where.

    Raises:
        AuditError: a wrong audit file, no readable image, a class or layer that the model does not have.
    """
    from cnnaudit.checks.audit_file import load_target
    from cnnaudit.pages.look.page import Options, look

    target = load_target(options.audit_config)
    if options.output is None:
        prepared(options.report, "--report")
    else:
        prepared(options.output.parent)
    asked = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    print(f"wrote {look(target, options.image, Options(**{**asked, 'layers': tuple(options.layers)}))}")
    return 0
