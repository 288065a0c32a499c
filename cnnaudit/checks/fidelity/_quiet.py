"""A method asked without its announcements."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from cnnaudit.attribution.methods import METHODS


def quiet(name: str, *arguments: Any) -> torch.Tensor:
    """What the method of that name answers to `compute(*arguments)`, detached.

    That a map is blank is counted here, and not announced map by map.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: torch.Tensor = METHODS[name].compute(*arguments)
    return found.detach()
