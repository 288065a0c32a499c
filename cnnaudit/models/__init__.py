"""The reference networks, built by functions that import torch when they are called, and the classic filters.

The functions share their modules' names; importing them here, before anybody imports the modules, makes
`cnnaudit.models.minimum` the function in every order of imports.
"""

from __future__ import annotations

from cnnaudit.models.classic_filters import classic_filters
from cnnaudit.models.lenet import lenet
from cnnaudit.models.minimum import minimum

__all__ = ["classic_filters", "lenet", "minimum"]
