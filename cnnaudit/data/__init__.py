"""Data to audit with: synthetic shapes, handwritten digits, folders of image files.

`shapes` and `digits` are functions that share their module's name; importing them here, before anybody imports the
modules, makes `cnnaudit.data.shapes` the function in every order of imports. No module imports torch at its top.
"""

from __future__ import annotations

from cnnaudit.data._digits import Digits, digits
from cnnaudit.data._shapes import Shapes, reference, shapes
from cnnaudit.target.folders import FolderSplit, folder

__all__ = ["Digits", "FolderSplit", "Shapes", "digits", "folder", "reference", "shapes"]
