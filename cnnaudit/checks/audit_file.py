"""Audit files, read with the ids of all checks that they may name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from cnnaudit.checks._catalogue import catalogue, former_ids
from cnnaudit.target import AuditTarget, config
from cnnaudit.target.config import AuditFile


def read(path: str | Path) -> AuditFile:
    """The audit file, checked as a whole without loading the model, the images or torch.

    Raises:
        ConfigError: the file is missing, is no TOML, or has keys or values that are not accepted; `problems`
            lists all of them.

    Example:
        >>> read("fixtures/targets/digits-lenet.toml").claims.polarity
        False
    """
    return config.read(path, known_ids, former_ids())


def load_target(path: str | Path) -> AuditTarget:
    """The target of an audit file: its model, asked for a first answer, and its data, read lazily.

    Raises:
        ConfigError: the file is not valid.
        ModelError: the model cannot be loaded, or does not answer the file's logits for the file's images.
        DataError: the data cannot be read or do not fit the classes.

    Example:
        >>> target = load_target("fixtures/targets/digits-lenet.toml")
        >>> target.logits(target.sample("validation", 4)[0]).shape
        torch.Size([4, 10])
    """
    from cnnaudit.interventions.memory_format import choose_layout
    from cnnaudit.target.pixels import PixelModel
    from cnnaudit.target.probe import two_images

    target = config.load_target(path, known_ids, former_ids())
    if isinstance(target.model, PixelModel):
        choose_layout(target.model, two_images(target.input, target.splits).to(target.device))
    return target


def known_ids(modules: Sequence[str], folder: Path) -> Collection[str]:
    """The ids of our checks and of those of the modules that an audit file in this folder names."""
    return catalogue(tuple(modules), folder)
