"""`cnnaudit embed`: t-SNE, UMAP and principal axes of layers, on a page whose points show their images."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnnaudit.pages.arguments import at_least, file, folder, positive_float, seed
from cnnaudit.pages.output import prepared

HELP = "map images by what layers make of them: t-SNE, UMAP, PCA, over the training too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cnnaudit embed`."""
    parser.add_argument("config", type=Path, metavar="AUDIT.TOML", help="audit file of the model and its images")
    parser.add_argument(
        "--layers",
        nargs="+",
        default=(),
        metavar="NAME",
        help="layers, dense ones too, named as in named_modules(), or calls such as block1/relu:2 (default: the "
        "first activation and the last layer before the classes)",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=("tsne", "umap", "pca"),
        choices=["tsne", "umap", "pca"],
        metavar="METHOD",
        help="tsne, umap, pca (default: all three)",
    )
    parser.add_argument(
        "--images", type=at_least(2), default=2000, help="number of images, 20000 at most (default: 2000)"
    )
    parser.add_argument(
        "--perplexity",
        type=positive_float,
        default=30.0,
        help="of t-SNE: about how many neighbors each image keeps (default: 30)",
    )
    parser.add_argument(
        "--iterations", type=at_least(250), default=1000, help="iterations of t-SNE, 250 or more (default: 1000)"
    )
    parser.add_argument(
        "--checkpoints",
        nargs="+",
        type=file,
        default=(),
        metavar="FILE",
        help="weights saved during training, first to last: animate the maps over the training",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of every random choice (default: 0)")
    parser.add_argument(
        "--output", type=folder, default="reports", metavar="DIR", help="folder to write to (default: reports)"
    )


def run(options: argparse.Namespace) -> int:
    """Write the page of a target's embeddings, its picture, animation and table, and print where.

    Raises:
        AuditError: a wrong audit file, a layer that the model does not have or that answers no numbers, too few images
            for the perplexity, weights of another model, a file that cannot be written.
    """
    from cnnaudit.checks.audit_file import load_target
    from cnnaudit.pages.embed.files import write_embedding
    from cnnaudit.pages.embed.maps import Options

    target = load_target(options.config)
    prepared(options.output)
    asked = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    lists = {name: tuple(dict.fromkeys(asked[name])) for name in ("layers", "methods", "checkpoints")}
    for path in write_embedding(target, Options(**{**asked, **lists}), options.output):
        print(f"wrote {path}")
    return 0
