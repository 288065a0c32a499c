"""Training of the reference networks.

`fit` shares its module's name; importing it here makes `cnnaudit.training.fit` the function in every order of imports.
The module imports torch only when the function is called.
"""

from __future__ import annotations

from cnnaudit.training.fit import fit

__all__ = ["fit"]
