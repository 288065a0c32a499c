"""The reference networks, built by functions that import torch when they are called.

The functions share their modules' names; importing them here, before anybody imports the modules, makes
`cnnaudit.models.minimum` the function in every order of imports.
"""

from __future__ import annotations

from cnnaudit.models.lenet import lenet
from cnnaudit.models.minimum import minimum

__all__ = ["lenet", "minimum"]
