"""Data to audit with: synthetic shapes, handwritten digits, folders of image files.

`shapes` and `digits` are functions that share their module's name; importing them here, before anybody imports the
modules, makes `cnnaudit.data.shapes` the function in every order of imports. Both modules import only NumPy.
"""

from __future__ import annotations

from cnnaudit.data.shapes import Shapes, reference, shapes

__all__ = ["Shapes", "reference", "shapes"]
