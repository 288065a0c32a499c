"""Data to audit with: synthetic shapes, handwritten digits, published data sets, folders of image files.

`shapes` and `digits` are functions that share their module's name; importing them here, before anybody imports the
modules, makes `cnnaudit.data.shapes` the function in every order of imports. No module imports torch at its top.
"""

from __future__ import annotations

from cnnaudit.data._digits import Digits, digits
from cnnaudit.data._shapes import Shapes, reference, shapes
from cnnaudit.data.known_files import KnownImages, cifar10, fashion_mnist, mnist
from cnnaudit.target.folders import FolderSplit, folder

__all__ = [
    "Digits",
    "FolderSplit",
    "KnownImages",
    "Shapes",
    "cifar10",
    "digits",
    "fashion_mnist",
    "folder",
    "mnist",
    "reference",
    "shapes",
]
