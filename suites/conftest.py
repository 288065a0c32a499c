"""Benchmarks take minutes and judge no model: they are collected only when they are named."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.name == "benchmarks" and not any("benchmarks" in argument for argument in config.args):
        return True
    return None
