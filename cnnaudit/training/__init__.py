"""Training of the reference networks, one or many at once.

`fit` shares its module's name; importing it here makes `cnnaudit.training.fit` the function in every order of imports.
The module imports torch only when the function is called.
"""

from __future__ import annotations

from cnnaudit.training.fit import fit
from cnnaudit.training.stacked import StackedResult, train_stacked

__all__ = ["StackedResult", "fit", "train_stacked"]
